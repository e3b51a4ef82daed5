//! The picture in the README is what the example `timeline` draws.

use std::fs;
use std::path::Path;
use std::process::Command;

const PICTURE: &str = "../../docs/timeline.svg";
const README: &str = "../../README.md";

#[test]
fn the_picture_is_what_the_example_draws() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("timeline.svg");
    let program = env!("CARGO_BIN_EXE_timeline");
    let end = Command::new(program).arg(&file).output().unwrap();
    assert!(end.status.success());
    let drawn = fs::read_to_string(&file).unwrap();
    let committed = fs::read_to_string(PICTURE).unwrap();
    assert!(
        drawn == committed,
        "draw it anew, and look at it: cargo run -p timeline"
    );
    let said = String::from_utf8(end.stdout).unwrap();
    assert_eq!(times(&said), times(&drawn));
    let file = fs::canonicalize(file).unwrap();
    assert!(said.contains(&file.display().to_string()), "{said}");
}

#[test]
fn the_readme_says_what_the_picture_shows() {
    let picture = fs::read_to_string(PICTURE).unwrap();
    let readme = fs::read_to_string(README).unwrap();
    let (readme, _) = readme.split_once("](docs/timeline.svg)").unwrap();
    let (_, said) = readme.rsplit_once("![").unwrap();
    let said = said.replace('\n', " ");
    assert_eq!(times(&picture).len(), 4);
    assert_eq!(times(&said), times(&picture));
}

/// How long each run took, in the order of the text.
fn times(text: &str) -> Vec<&str> {
    let times = text.split("done after ").skip(1);
    times.map(|rest| rest.split(" s").next().unwrap()).collect()
}
