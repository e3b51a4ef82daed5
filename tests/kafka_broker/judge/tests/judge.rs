//! Every kind of fault, in journals written by hand.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kafka_judge::{Kind, Verdict};

/// Times are in milliseconds, the topic is `t`, and the process comes behind the time.
fn judge(journal: &str) -> Verdict {
    kafka_judge::judge(events(journal)).unwrap()
}

fn events(journal: &str) -> Vec<kafka_judge::event::Event> {
    let lines = journal.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty());
    let mut events = lines.map(event).collect::<Vec<_>>();
    events.sort_by_key(|event| event.at);
    events
}

fn event(line: &str) -> kafka_judge::event::Event {
    let (at, rest) = line.split_once(' ').unwrap();
    let at = at.parse::<u64>().unwrap() * 1_000_000;
    format!("{at} {rest}").parse().unwrap()
}

/// What was found, by kind.
fn found(verdict: &Verdict) -> Vec<(Kind, usize)> {
    let mut kinds = verdict
        .faults
        .iter()
        .map(|fault| fault.kind)
        .collect::<Vec<_>>();
    kinds.sort();
    let chunks = kinds.chunk_by(PartialEq::eq);
    chunks.map(|kinds| (kinds[0], kinds.len())).collect()
}

#[test]
fn finds_nothing_where_all_is_well() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 b
         2 9 produced t 0 2 a
         3 1 start t 0 0 a
         4 1 start t 0 1 b
         5 1 end t 0 0 a
         5 1 start t 0 2 a
         6 1 end t 0 2 a
         7 9 position t 0 1
         8 1 end t 0 1 b
         9 9 position t 0 3
         9 9 position t 0 3
         10 1 exited",
    );
    assert_eq!(found(&verdict), []);
    assert_eq!(
        (verdict.produced, verdict.done, verdict.half_run),
        (3, 3, 0)
    );
    assert_eq!(
        verdict.to_string(),
        "produced 3, done 3, lost 0, missing 0, uncommitted 0, committed early 0, overlaps 0 between + 0 within, \
         out of order 0, twice 0 clean + 0 cut off, went back 0, unknown 0, half-run 0"
    );
}

#[test]
fn a_record_that_was_committed_and_never_done_is_lost() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 b
         2 1 start t 0 1 b
         3 1 end t 0 1 b
         4 9 position t 0 2",
    );
    assert_eq!(found(&verdict), [(Kind::Lost, 1)]);
    assert_eq!(verdict.of(Kind::Lost).next().unwrap().record.offset, 0);
}

#[test]
fn a_handler_that_was_dropped_has_done_nothing() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 drop t 0 0 a
         4 9 position t 0 1",
    );
    assert_eq!(found(&verdict), [(Kind::Lost, 1)]);
    assert_eq!(verdict.half_run, 1);
}

#[test]
fn a_handler_that_was_killed_has_done_nothing() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 killed
         4 9 position t 0 1",
    );
    assert_eq!(found(&verdict), [(Kind::Lost, 1)]);
    assert_eq!(verdict.half_run, 1);
}

#[test]
fn a_record_that_is_neither_done_nor_committed_is_missing() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 1 0 b
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         4 9 position t 0 1",
    );
    assert_eq!(found(&verdict), [(Kind::Missing, 1)]);
    assert_eq!(verdict.uncommitted, 1);
}

#[test]
fn a_record_that_is_committed_before_it_is_done_is_early() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 9 position t 0 1
         4 1 end t 0 0 a",
    );
    assert_eq!(found(&verdict), [(Kind::CommittedEarly, 1)]);
}

#[test]
fn two_handlers_of_a_key_overlap_between_processes() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         10 1 start t 0 0 a
         20 2 start t 0 1 a
         50 1 end t 0 0 a
         60 2 end t 0 1 a",
    );
    assert_eq!(found(&verdict), [(Kind::OverlapBetween, 1)]);
    assert_eq!(verdict.worst_overlap, Duration::from_millis(30));
}

#[test]
fn two_handlers_of_a_key_overlap_within_a_process() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         10 1 start t 0 0 a
         20 1 start t 0 1 a
         25 1 end t 0 1 a
         60 1 end t 0 0 a",
    );
    assert_eq!(found(&verdict), [(Kind::OverlapWithin, 1)]);
    assert_eq!(verdict.worst_overlap, Duration::from_millis(5));
}

#[test]
fn a_killed_handler_overlaps_until_it_is_killed() {
    let both = "1 9 produced t 0 0 a
                10 1 start t 0 0 a
                20 2 start t 0 0 a
                25 1 killed
                30 2 end t 0 0 a";
    assert_eq!(found(&judge(both)), [(Kind::OverlapBetween, 1)]);
    let one_after_the_other = "1 9 produced t 0 0 a
                               10 1 start t 0 0 a
                               15 1 killed
                               20 2 start t 0 0 a
                               30 2 end t 0 0 a";
    assert_eq!(found(&judge(one_after_the_other)), []);
}

#[test]
fn a_handler_of_a_process_that_has_exited_overlaps_with_nothing() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         10 1 start t 0 0 a
         15 1 exited
         20 2 start t 0 0 a
         30 2 end t 0 0 a",
    );
    assert_eq!(found(&verdict), []);
}

#[test]
fn keys_of_other_partitions_do_not_overlap() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 1 0 a
         10 1 start t 0 0 a
         20 2 start t 1 0 a
         25 2 end t 1 0 a
         60 1 end t 0 0 a",
    );
    assert_eq!(found(&verdict), []);
}

#[test]
fn a_record_after_a_later_one_of_its_key_is_out_of_order() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         2 1 start t 0 1 a
         3 1 end t 0 1 a
         4 2 start t 0 0 a
         5 2 end t 0 0 a",
    );
    assert_eq!(found(&verdict), [(Kind::OutOfOrder, 1)]);
}

#[test]
fn a_process_that_skips_back_is_out_of_order_even_among_repeats() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         4 1 start t 0 1 a
         5 1 end t 0 1 a
         6 1 killed
         7 2 start t 0 1 a
         8 2 end t 0 1 a
         9 2 start t 0 0 a
         10 2 end t 0 0 a",
    );
    assert_eq!(
        found(&verdict),
        [(Kind::OutOfOrder, 1), (Kind::TwiceCutOff, 2)]
    );
}

#[test]
fn repeating_in_order_is_not_out_of_order() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         4 1 start t 0 1 a
         5 1 end t 0 1 a
         6 1 start t 0 0 a
         7 1 end t 0 0 a
         8 1 start t 0 1 a
         9 1 end t 0 1 a",
    );
    assert_eq!(found(&verdict), [(Kind::TwiceClean, 2)]);
}

#[test]
fn done_twice_is_clean_unless_the_first_was_killed_before() {
    let killed = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         1003 1 killed
         1004 2 start t 0 0 a
         1005 2 end t 0 0 a",
    );
    assert_eq!(found(&killed), [(Kind::TwiceCutOff, 1)]);
    assert_eq!(killed.oldest_repeat, Duration::from_secs(1));
    assert_eq!(killed.inexcusable().count(), 0);

    let before_the_kill = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         4 2 start t 0 0 a
         5 2 end t 0 0 a
         6 1 killed",
    );
    assert_eq!(found(&before_the_kill), [(Kind::TwiceClean, 1)]);

    let the_other_was_killed = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         4 2 start t 0 0 a
         5 2 end t 0 0 a
         6 2 killed",
    );
    assert_eq!(found(&the_other_was_killed), [(Kind::TwiceClean, 1)]);
}

#[test]
fn what_was_done_while_the_broker_was_away_may_be_done_twice() {
    let away = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         5 1 cut-off
         6 1 start t 0 1 a
         7 1 end t 0 1 a
         30 1 reached
         31 1 start t 0 0 a
         32 1 end t 0 0 a
         33 1 start t 0 1 a
         34 1 end t 0 1 a",
    );
    assert_eq!(found(&away), [(Kind::TwiceCutOff, 2)]);
    assert_eq!(away.oldest_repeat, Duration::from_millis(2));

    let there_again = judge(
        "1 9 produced t 0 0 a
         5 1 cut-off
         30 1 reached
         31 1 start t 0 0 a
         32 1 end t 0 0 a
         33 1 start t 0 0 a
         34 1 end t 0 0 a",
    );
    assert_eq!(found(&there_again), [(Kind::TwiceClean, 1)]);
}

/// Process 1 is frozen while it handles the first record, and process 2 takes its partition over.
#[test]
fn a_process_that_wakes_up_may_finish_what_it_had_begun_and_begin_the_next() {
    let journal = "1 9 produced t 0 0 a
                   1 9 produced t 0 1 a
                   2 1 start t 0 0 a
                   3 1 cut-off
                   10 2 start t 0 0 a
                   11 2 end t 0 0 a
                   12 2 start t 0 1 a
                   20 1 end t 0 0 a
                   20 1 start t 0 1 a
                   21 2 end t 0 1 a
                   22 1 end t 0 1 a";
    let excused = [(Kind::OverlapCutOff, 3), (Kind::TwiceCutOff, 2)];
    let never_knows = judge(journal);
    assert_eq!(found(&never_knows), excused);
    let knows = judge(&format!("{journal}\n23 1 reached"));
    assert_eq!(found(&knows), excused);
    assert_eq!(knows.inexcusable().count(), 0);
    assert_eq!(knows.worst_overlap, Duration::ZERO);
    let line = knows.to_string();
    assert!(line.contains("overlaps 0 between + 0 within + 3 cut off, "));
}

#[test]
fn a_process_that_knows_what_it_has_lost_may_begin_nothing() {
    let done_before = judge(
        "1 9 produced t 0 0 a
         3 1 cut-off
         10 2 start t 0 0 a
         11 2 end t 0 0 a
         20 1 reached
         21 1 start t 0 0 a
         22 1 end t 0 0 a",
    );
    assert_eq!(found(&done_before), [(Kind::TwiceClean, 1)]);
    let runs_still = judge(
        "1 9 produced t 0 0 a
         3 1 cut-off
         10 2 start t 0 0 a
         20 1 reached
         21 1 start t 0 0 a
         22 2 end t 0 0 a
         23 1 end t 0 0 a",
    );
    assert_eq!(
        found(&runs_still),
        [(Kind::OverlapBetween, 1), (Kind::TwiceClean, 1)]
    );
}

#[test]
fn an_overlap_is_not_excused_by_what_comes_later() {
    let before_it_was_cut_off = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 2 start t 0 0 a
         4 2 end t 0 0 a
         5 1 cut-off
         20 1 end t 0 0 a
         21 1 reached
         24 9 position t 0 1",
    );
    assert_eq!(
        found(&before_it_was_cut_off),
        [(Kind::OverlapBetween, 1), (Kind::TwiceClean, 1)]
    );
    // Two others overlap, and a third one does not know.
    let others = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 cut-off
         4 2 start t 0 0 a
         5 3 start t 0 0 a
         6 1 killed
         6 2 killed
         7 3 end t 0 0 a
         24 9 position t 0 1",
    );
    assert_eq!(
        found(&others),
        [(Kind::OverlapBetween, 1), (Kind::OverlapCutOff, 1)]
    );
    assert_eq!(others.worst_overlap, Duration::from_millis(1));
}

#[test]
fn a_frozen_process_may_not_run_a_key_twice_within_itself() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         1 9 produced t 0 1 a
         2 1 start t 0 0 a
         3 1 cut-off
         4 1 start t 0 1 a
         5 1 end t 0 1 a
         6 1 end t 0 0 a
         7 1 reached
         24 9 position t 0 2",
    );
    assert_eq!(found(&verdict), [(Kind::OverlapWithin, 1)]);
}

#[test]
fn who_has_which_partition_is_not_judged() {
    let verdict = judge(
        "1 1 assigned t 0
         2 9 produced t 0 0 a
         3 1 start t 0 0 a
         4 1 end t 0 0 a
         5 9 position t 0 1
         6 1 given-up t 0",
    );
    assert_eq!(found(&verdict), []);
}

#[test]
fn done_three_times_is_twice_too_often() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 a
         3 1 end t 0 0 a
         4 1 killed
         5 2 start t 0 0 a
         6 2 end t 0 0 a
         7 3 start t 0 0 a
         8 3 end t 0 0 a",
    );
    assert_eq!(
        found(&verdict),
        [(Kind::TwiceClean, 1), (Kind::TwiceCutOff, 1)]
    );
}

#[test]
fn a_committed_position_that_goes_back_is_found() {
    let verdict = judge(
        "1 9 position t 0 7
         2 9 position t 1 3
         3 9 position t 0 6
         4 9 position t 0 7
         5 9 position t 0 8",
    );
    assert_eq!(found(&verdict), [(Kind::WentBack, 1)]);
    assert_eq!(verdict.of(Kind::WentBack).next().unwrap().record.offset, 6);
}

#[test]
fn a_record_that_nobody_produced_is_unknown() {
    let verdict = judge(
        "1 9 produced t 0 0 a
         2 1 start t 0 0 b
         3 1 end t 0 0 b
         4 1 start t 0 0 a
         5 1 end t 0 0 a",
    );
    assert_eq!(found(&verdict), [(Kind::Unknown, 1)]);
}

#[test]
fn a_handler_that_ends_must_have_begun() {
    let error = kafka_judge::judge(events("1 4 end t 0 0 a")).unwrap_err();
    assert_eq!(
        error,
        "process 4 ends a handler that it has not begun: t 0 0 a"
    );
}

#[test]
fn all_journals_of_a_folder_are_put_in_the_order_of_time() {
    let folder = Folder::new("order");
    folder.write("1.journal", "20 1 end t 0 0 a\n10 1 start t 0 0 a\n");
    folder.write("2.journal", "5 2 produced t 0 0 a\n30 2 exi");
    folder.write("notes.txt", "not a journal");
    let events = kafka_judge::read(folder.path()).unwrap();
    let lines = events.iter().map(ToString::to_string);
    let expected = [
        "5 2 produced t 0 0 a",
        "10 1 start t 0 0 a",
        "20 1 end t 0 0 a",
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[test]
fn a_line_that_is_no_event_is_named() {
    let folder = Folder::new("line");
    for (line, why) in [
        ("x 1 exited", "`x` is no number for the time"),
        ("5 1", "what happened is missing"),
        ("5 1 began t 0 0 a", "nothing is called `began`"),
        ("5 1 start t 0 0", "the key is missing"),
        ("5 1 start t 0 0 a b", "`b` is one field too many"),
        ("5 1 position t 0 -", "`-` is no number for the position"),
        ("5 1 assigned t a", "`a` is no number for the partition"),
    ] {
        folder.write("1.journal", &format!("1 1 exited\n{line}\n"));
        let error = kafka_judge::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("1.journal, line 2: {why}")),
            "{error}"
        );
    }
}

#[test]
fn the_program_prints_the_verdict_and_fails_on_a_fault() {
    let folder = Folder::new("program");
    let program = |folder: &Path| {
        let judge = env!("CARGO_BIN_EXE_kafka_judge");
        let end = Command::new(judge).arg(folder).output().unwrap();
        let text = [end.stdout, end.stderr].concat();
        (end.status.code(), String::from_utf8(text).unwrap())
    };
    let well = "1 9 produced t 0 0 a\n2 1 start t 0 0 a\n3 1 end t 0 0 a\n";
    folder.write("1.journal", well);
    let (code, text) = program(folder.path());
    assert_eq!(code, Some(0));
    assert!(text.starts_with("produced 1, done 1, lost 0,"), "{text}");

    folder.write("2.journal", "4 2 start t 0 0 a\n5 2 end t 0 0 a\n");
    let (code, text) = program(folder.path());
    assert_eq!(code, Some(1));
    let fault = "TwiceClean: t 0 0 a: done by 1 at 3, again by 2 at 5\n";
    assert!(text.ends_with(fault), "{text}");

    let (code, text) = program(&folder.path().join("missing"));
    assert_eq!(code, Some(2));
    assert!(text.contains("missing: No such file"), "{text}");
}

/// Removed when it is dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("kafka_judge-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
