//! Members of a consumer group on a real broker, judged by what their handlers did.
//!
//! Where `KAFKA_BROKERS` is not set these tests say so and pass: the crate's tests ask for Rust and a C compiler, and for
//! nothing else. Where the environment variable `CI` is `true` they fail, so that it cannot go unseen there. Each prints
//! a line of what it came to; the README of this package says how to read it.

use std::env;
use std::io::{Write as _, stderr};
use std::thread;
use std::time::Duration;

use kafka_broker_tests::args::Protocol;
use kafka_broker_tests::broker::Broker;
use kafka_broker_tests::outcome::Outcome;
use kafka_broker_tests::scenario::{
    Cast, ComeAndGo, Ends, Meanwhile, Pace, WakesUp, broker_away, come_and_go, cycles,
    exactly_once, frozen, frozen_with_a_stuck_head, full_window, refused, restart, stop,
    stuck_head,
};
use kafka_judge::Kind;

const OURS: &str = env!("CARGO_BIN_EXE_ours");
const TRANSACTIONAL: &str = env!("CARGO_BIN_EXE_transactional");
const NAIVE: &str = env!("CARGO_BIN_EXE_naive");

/// A commit each second: what was done before the last one is not repeated. The rest is for a busy machine.
const OLDEST_REPEAT: Duration = Duration::from_millis(2_500);

#[test]
fn the_judge_finds_what_naive_members_do_wrong() {
    let Some(cast) = cast(NAIVE) else { return };
    let play = ComeAndGo {
        cycles: 4,
        ..play(Protocol::Range)
    };
    let outcome = print(come_and_go(&cast, &play));
    let verdict = &outcome.verdict;
    // It commits each second, and 200 records a second are done. It gives all of them up four times or more.
    assert!(verdict.count(Kind::TwiceClean) > 100, "{outcome}");
    assert_eq!(verdict.count(Kind::Lost), 0, "{outcome}");
    assert_eq!(verdict.count(Kind::Missing), 0, "{outcome}");
}

#[test]
fn two_members_come_and_go_by_range() {
    comes_and_goes_clean(&play(Protocol::Range));
}

#[test]
fn two_members_come_and_go_by_cooperative_sticky() {
    comes_and_goes_clean(&play(Protocol::CooperativeSticky));
}

#[test]
fn two_members_come_and_go_as_the_broker_shares_out() {
    comes_and_goes_clean(&play(Protocol::Consumer));
}

#[test]
fn three_members_come_and_go_by_range() {
    comes_and_goes_clean(&ComeAndGo {
        members: 3,
        ..play(Protocol::Range)
    });
}

#[test]
fn three_members_come_and_go_by_cooperative_sticky() {
    comes_and_goes_clean(&ComeAndGo {
        members: 3,
        ..play(Protocol::CooperativeSticky)
    });
}

#[test]
fn three_members_come_and_go_as_the_broker_shares_out() {
    comes_and_goes_clean(&ComeAndGo {
        members: 3,
        ..play(Protocol::Consumer)
    });
}

#[test]
fn slow_members_come_and_go_by_range() {
    comes_and_goes_clean(&ComeAndGo {
        pace: Pace::Slow,
        ..play(Protocol::Range)
    });
}

#[test]
fn slow_members_come_and_go_as_the_broker_shares_out() {
    comes_and_goes_clean(&ComeAndGo {
        pace: Pace::Slow,
        ..play(Protocol::Consumer)
    });
}

#[test]
fn members_that_finish_all_they_have_admitted_need_no_metadata() {
    comes_and_goes_clean(&ComeAndGo {
        args: words("--drain admitted --metadata 0 --slots 16"),
        ..play(Protocol::Range)
    });
}

#[test]
fn a_drain_past_its_deadline_drops_what_runs_and_never_overlaps() {
    let outcome = comes_and_goes_clean(&ComeAndGo {
        pace: Pace::Slow,
        args: words("--drain-within 300"),
        ..play(Protocol::Range)
    });
    if let Some(outcome) = outcome {
        assert!(outcome.verdict.half_run > 0, "{outcome}");
    }
}

#[test]
fn what_is_done_past_a_stuck_head_is_not_done_again_after_a_kill() {
    let Some(cast) = cast(OURS) else { return };
    let outcome = print(stuck_head(&cast, true));
    assert_clean(&outcome);
    assert_eq!(outcome.verdict.count(Kind::TwiceCutOff), 0, "{outcome}");
}

#[test]
fn a_member_whose_window_is_full_stays_a_member() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(OURS) else { return };
        let outcome = print(full_window(&cast, protocol, Meanwhile::Nothing));
        assert_clean(&outcome);
        assert_eq!(outcome.verdict.half_run, 0, "{outcome}");
    });
}

#[test]
fn a_member_whose_window_is_full_gives_way_in_time() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(OURS) else { return };
        let outcome = print(full_window(&cast, protocol, Meanwhile::AnotherJoins));
        assert_clean(&outcome);
        // Half-way, because it takes 12 s, and the drain 4.5 s at most. By range all partitions are given up; by the
        // others, that of the busy handler may stay.
        let half_run = outcome.verdict.half_run;
        match protocol {
            Protocol::Range => assert_eq!(half_run, 1, "{outcome}"),
            _ => assert!(half_run <= 1, "{outcome}"),
        }
        assert!(outcome.join() < Duration::from_secs(7), "{outcome}");
    });
}

#[test]
fn a_busy_member_stops_in_time_and_leaves_nothing_uncommitted() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(OURS) else { return };
        let outcome = print(stop(&cast, protocol));
        assert_clean(&outcome);
        // The slowest handler takes 2 s.
        assert!(outcome.leave() < Duration::from_secs(4), "{outcome}");
    });
}

#[test]
fn members_go_on_when_the_broker_comes_back() {
    let Some(cast) = cast(OURS) else { return };
    let broker = Broker::start().unwrap();
    let cast = Cast {
        brokers: broker.address(),
        ..cast
    };
    let outcome = print(broker_away(&cast, &broker, Protocol::Range));
    assert_clean(&outcome);
}

#[test]
fn a_member_that_wakes_up_while_another_one_takes_over_does_no_harm() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(OURS) else { return };
        let outcome = print(frozen(&cast, protocol, WakesUp::Early));
        assert_clean(&outcome);
        assert!(outcome.verdict.half_run > 0, "{outcome}");
    });
}

#[test]
fn a_member_that_wakes_up_after_another_one_has_done_all_does_no_harm() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(OURS) else { return };
        let outcome = print(frozen(&cast, protocol, WakesUp::Late));
        assert_clean(&outcome);
        assert!(outcome.verdict.half_run > 0, "{outcome}");
        // What hung was done meanwhile by the other one.
        let excused = outcome.verdict.count(Kind::OverlapCutOff);
        assert!(excused > 0, "{outcome}");
    });
}

#[test]
fn what_was_done_past_a_stuck_head_by_another_one_is_not_done_again_by_one_that_wakes_up() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(OURS) else { return };
        assert_clean(&print(frozen_with_a_stuck_head(&cast, protocol)));
    });
}

#[test]
fn a_static_member_that_is_terminated_comes_back_as_if_it_had_not_been_away() {
    for_each_protocol(|protocol| {
        let Some(outcome) = comes_back(protocol, Ends::Terminated) else {
            return;
        };
        assert_eq!(outcome.verdict.half_run, 0, "{outcome}");
        assert_eq!(outcome.verdict.count(Kind::TwiceCutOff), 0, "{outcome}");
    });
}

#[test]
fn a_static_member_that_is_killed_comes_back_and_repeats_the_last_second() {
    thread::scope(|scope| {
        for protocol in [Protocol::Range, Protocol::CooperativeSticky] {
            scope.spawn(move || comes_back(protocol, Ends::Killed));
        }
    });
}

#[test]
fn a_static_member_that_the_broker_refuses_says_when_to_start_it_again() {
    let Some(cast) = cast(OURS) else { return };
    let refused = refused(&cast);
    let (outcome, words) = refused.unwrap_or_else(|error| panic!("{error:#}"));
    let outcome = print(Ok(outcome));
    assert_clean(&outcome);
    let advice = "start this one again when the session of that one has expired";
    assert!(words.contains(advice), "{words}");
}

/// Plays a restart within the session: the member has the same partitions again, and the other one has kept its own.
fn comes_back(protocol: Protocol, ends: Ends) -> Option<Outcome> {
    let cast = cast(OURS)?;
    let restarted = restart(&cast, protocol, ends);
    let restarted = restarted.unwrap_or_else(|error| panic!("{error:#}"));
    let outcome = print(Ok(restarted.outcome));
    assert_clean(&outcome);
    let [before, after] = restarted.held;
    assert_eq!(before, after, "{outcome}");
    assert_eq!(restarted.given_up, 0, "{outcome}");
    Some(outcome)
}

#[test]
fn outputs_in_transactions_are_there_exactly_once_whenever_a_member_is_killed() {
    for_each_protocol(|protocol| {
        let Some(cast) = cast(TRANSACTIONAL) else {
            return;
        };
        let outcome = print(exactly_once(&cast, protocol, cycles()));
        assert!(outcome.verdict.faults.is_empty(), "{outcome}");
        assert_eq!(outcome.verdict.uncommitted, 0, "{outcome}");
    });
}

const PROTOCOLS: [Protocol; 3] = [
    Protocol::Range,
    Protocol::CooperativeSticky,
    Protocol::Consumer,
];

/// All at once: they wait most of the time.
fn for_each_protocol(test: impl Fn(Protocol) + Sync) {
    let test = &test;
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            scope.spawn(move || test(protocol));
        }
    });
}

fn play(protocol: Protocol) -> ComeAndGo {
    ComeAndGo {
        protocol,
        members: 2,
        cycles: cycles(),
        pace: Pace::Fast,
        args: Vec::new(),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn comes_and_goes_clean(play: &ComeAndGo) -> Option<Outcome> {
    let cast = cast(OURS)?;
    let outcome = print(come_and_go(&cast, play));
    assert_clean(&outcome);
    Some(outcome)
}

#[track_caller]
fn assert_clean(outcome: &Outcome) {
    let verdict = &outcome.verdict;
    let faults = verdict.inexcusable().collect::<Vec<_>>();
    let first = &faults[..faults.len().min(10)];
    assert!(faults.is_empty(), "{outcome}\n{first:#?}");
    assert_eq!(verdict.uncommitted, 0, "{outcome}");
    assert!(verdict.oldest_repeat < OLDEST_REPEAT, "{outcome}");
}

/// Says what a scenario came to, also where the test passes.
#[track_caller]
fn print(outcome: anyhow::Result<Outcome>) -> Outcome {
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}"));
    say(&outcome.to_string());
    outcome
}

/// To where it is seen even if the test passes: what goes by `eprintln` is kept back then.
fn say(line: &str) {
    let mut stderr = stderr();
    writeln!(stderr, "{line}").unwrap();
}

fn cast(member: &str) -> Option<Cast> {
    let Ok(brokers) = env::var("KAFKA_BROKERS") else {
        let way = "start a broker with `tests/kafka_broker/broker start FOLDER`, and set KAFKA_BROKERS=127.0.0.1:19092";
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "no broker: {way}");
        say(&format!("skipped without a broker: {way}"));
        return None;
    };
    Some(Cast {
        brokers,
        producer: env!("CARGO_BIN_EXE_producer").into(),
        member: member.into(),
    })
}
