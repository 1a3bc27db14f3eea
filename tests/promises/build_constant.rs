//! Promise 2: however often something is built, and fails to, the number of `<none>` images stays what it was.

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, dangling, says_nothing_of_its_own};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on_every_builder(promises![changing_builds_and_failures_leave_as_much_as_two_of_each])
}

/// Each a build that succeeds and one that fails.
const ROUNDS: usize = 4;

/// Every other round with `-q`, so that a leak of either shows.
fn changing_builds_and_failures_leave_as_much_as_two_of_each(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let foreign = engine.image().make();
    let context = Context::new();
    let mut after = Vec::new();
    for round in 1..=ROUNDS {
        let quiet: &[&str] = if round % 2 == 0 { &["-q", "-t", "app"] } else { &["-t", "app"] };
        context.write("seed", round.to_string());
        context.write("Dockerfile", recipe("RUN cat /one /two"));
        let output = maker.build(&context, quiet).success();
        says_nothing_of_its_own(&output);
        if quiet.len() == 3 {
            let said = output.out();
            let id = said.strip_suffix('\n').expect("a whole line");
            let id = if id.starts_with("sha256:") { id.to_owned() } else { format!("sha256:{id}") };
            assert_eq!(id, maker.id("app"), "the ID and nothing else\n{output}");
        }
        // It fails behind two whole stages and a few steps, in a place of its own each time.
        context.write("Dockerfile", recipe(&format!("ENV ROUND={round}\nRUN echo the reason; exit 3")));
        let output = maker.build(&context, quiet);
        assert!(output.exit_code().is_some_and(|code| code != 0), "{output}");
        says_nothing_of_its_own(&output);
        let said = format!("{}{}", output.out(), output.err());
        assert!(said.contains("the reason"), "the user is to see why it failed\n{output}");
        after.push(dangling(engine).len());
    }
    assert_eq!(after[ROUNDS - 1], after[1], "`<none>` images after each round: {after:?}");
    if builder == Builder::BuildKit {
        assert_eq!(after[ROUNDS - 1], 1, "nothing but the stranger's");
    }
    assert_eq!(maker.lost().into_iter().collect::<Vec<_>>(), std::slice::from_ref(&foreign.id));
    maker.clean();
    assert_eq!(dangling(engine).into_iter().collect::<Vec<_>>(), [foreign.id]);
}

fn recipe(last: &str) -> String {
    format!(
        "FROM lab/base AS one\nCOPY seed /one\nENV A=1\nFROM lab/base AS two\nENV B=1\nCOPY seed /two\n\
         FROM lab/base\nCOPY --from=one /one /one\nCOPY --from=two /two /two\n{last}\n"
    )
}
