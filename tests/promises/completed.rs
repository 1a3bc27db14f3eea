//! What a shell offers when the key is pressed, as bash asks for it.

use std::time::Duration;

use dkb_lab::{Engine, Output, Promises, eventually, promises};

use crate::build_state_trouble::in_script;
use crate::clean_host::{Books, PROJECT, SESSION, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on(
        |engine| engine == "docker-28.5",
        promises![what_is_there_is_offered, behind_dockers_verbs_docker_offers_its_own],
    )
}

/// The completions as they are printed, and what they offer for the last of these words.
const BASH: &str = r#"
dkb=$1; shift
PATH=$(mktemp -d):$PATH; ln -s "$dkb" "${PATH%%:*}/dkb"
exec bash -c '
    source <(dkb completions bash)
    COMP_WORDS=(dkb "$@"); COMP_CWORD=$#; COMP_TYPE=9
    _clap_complete_dkb dkb "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf "[%s]" "${COMPREPLY[@]}"
' bash "$@""#;

fn offered(engine: &Engine, books: &Books, words: &[&str]) -> Output {
    let dkb = books.dkb(engine).cwd(books.state.work()).args(words.iter().copied());
    let output = in_script(BASH, &[], &dkb).success();
    assert_eq!(output.err(), "", "{output}");
    output
}

fn what_is_there_is_offered(engine: &Engine) {
    let books = Books::of(engine);
    let (image, other) = (engine.image().tag("app:1.4").make(), engine.image().make());
    books.built(&key(PROJECT, SESSION), &image, &["app:1.4", "registry.example/team/app:1"]);
    books.built(&key("elsewhere", "theirs"), &other, &[]);
    let context = books.state.docker_config().join("contexts/meta/0f");
    std::fs::create_dir_all(&context).expect("a folder");
    std::fs::write(context.join("meta.json"), r#"{"Name":"nas","Endpoints":{}}"#).expect("a context");
    for (words, all) in [
        (&["stat"][..], "[status]"),
        (&["status", "ap"], "[app:1.4]"),
        (&["log", "reg"], "[registry.example/team/app:1]"),
        (&["clean", "--keep", "app"], "[app:1.4]"),
        (&["session", "end", ""], &format!("[{SESSION}]")),
        (&["clean", "--session", ""], &format!("[{SESSION}]")),
        (&["--project", ""], &format!("[{PROJECT}][elsewhere]")),
        (&["-c", ""], "[default][nas]"),
        (&["sweep", "--only", "net"], "[networks]"),
        (&["config", "get", "keep_la"], "[keep_last]"),
    ] {
        let offered = offered(engine, &books, words);
        assert_eq!(offered.out(), all, "{words:?}\n{offered}");
    }
    offered(engine, &books, &["clean", ""]).says("[--tagged]");
    offered(engine, &books, &["clean", "--ta"]).says("[--tagged]");
}

fn behind_dockers_verbs_docker_offers_its_own(engine: &Engine) {
    let books = Books::of(engine);
    std::fs::create_dir(books.state.work().join("shop")).expect("a folder");
    std::fs::write(books.state.work().join("notes"), "").expect("a file");
    // Docker has a second for its answer, and on a busy machine takes longer now and then.
    let soon = |words: &[&str], is_right: &dyn Fn(&str) -> bool| {
        let offers = || is_right(&offered(engine, &books, words).out());
        assert!(eventually(Duration::from_secs(60), offers), "{words:?}");
    };
    soon(&["build", "--no-c"], &|all| all == "[--no-cache]");
    soon(&["build", "--no-cache", "--"], &|all| all.contains("[--tag]") && !all.contains("json"));
    soon(&["build", ""], &|all| all.contains("[shop/]"));
    soon(&["build", "--file", "no"], &|all| all == "[notes]");
    soon(&["compose", "--pro"], &|all| all.contains("[--project-name]") && !all.contains("[--project]"));
    // Where docker says nothing, what dkb knows of docker's flags is better than nothing.
    let dkb = books.dkb(engine).env("DKB_DOCKER", "/bin/false").args(["build", "--no-c"]);
    in_script(BASH, &[], &dkb).success().says("[--no-cache]").says("[--no-cache-filter]");
}
