//! What must not compile, and what the compiler says of it. What it says changes with the compiler, so one is asked.

#[rustversion::stable(1.95)]
#[test]
fn mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}
