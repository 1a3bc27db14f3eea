//! A tag that goes from session to session, and by whom it comes back.

use dkb_lab::promise::{containerd_store, one_of_each_kind};
use dkb_lab::{Context, Engine, Promises, promises};

use crate::clean_host::{Books, PROJECT, SESSION, key};
use crate::guard_dead::opened;

const OTHER: &str = "job-2";

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on(
        one_of_each_kind,
        promises![
            a_tag_goes_back_past_what_stays_of_a_session_for_somebody_else,
            a_tag_that_two_ledgers_took_by_turns_goes_back_to_who_had_it_first,
            a_tag_goes_back_past_what_two_sessions_built,
        ],
    )
}

fn build(books: &Books, engine: &Engine, session: &str, tag: &str, n: usize) {
    let context = Context::from_base(&format!("ENV TURN={n}"));
    // Where nothing but the lines says what an image is, two sessions come to the same one.
    let dkb = books.dkb(engine).session(session).env("DKB_STAMP", "project").env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
    dkb.args(["build", "-q", "-t", tag]).arg(context.path()).run().success();
}

fn end(books: &Books, engine: &Engine, session: &str) {
    books.dkb(engine).args(["session", "end", session]).run().success();
}

/// The stranger's image bears its tag again, and is the only one.
fn assert_back(engine: &Engine, theirs: &str, what: &str) {
    let names: Vec<String> = engine.images().into_iter().flat_map(|image| image.tags).collect();
    assert_eq!(engine.find("app:dev").map(|image| image.id).as_deref(), Some(theirs), "{what}\n{}", engine.inventory());
    assert_eq!((engine.images().len(), names.len()), (1, 1), "{what}\n{}", engine.inventory());
}

fn a_tag_goes_back_past_what_stays_of_a_session_for_somebody_else(engine: &Engine) {
    for goes in [false, true] {
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        let books = Books::of(engine);
        let holds = [SESSION, OTHER].map(|session| opened(&books, &key(PROJECT, session)));
        build(&books, engine, SESSION, "app:dev", 1);
        engine.docker(["tag", "app:dev", "friend:1"]).run().success();
        build(&books, engine, OTHER, "app:dev", 2);
        drop(holds);
        end(&books, engine, SESSION);
        assert!(engine.has("friend:1"), "{}", engine.inventory());
        if goes {
            engine.docker(["image", "rm", "friend:1"]).run().success();
        }
        end(&books, engine, OTHER);
        if !goes {
            assert_eq!(
                engine.find("app:dev").map(|image| image.id).as_ref(),
                Some(&theirs.id),
                "{}",
                engine.inventory()
            );
            engine.docker(["image", "rm", "friend:1"]).run().success();
        }
        // What its friend has let go is ours again.
        books.dkb(engine).args(["clean", "--session", SESSION]).run().success();
        assert_back(engine, &theirs.id, &format!("friend:1 goes first: {goes}"));
        engine.wipe();
    }
}

fn a_tag_that_two_ledgers_took_by_turns_goes_back_to_who_had_it_first(engine: &Engine) {
    let ends = [[0, 1], [1, 0]];
    // Who builds what he has built before comes to the image of before.
    let turns: [&[(usize, usize)]; 4] = [
        &[(0, 0), (1, 1), (0, 2)],
        &[(0, 0), (1, 1), (0, 0)],
        &[(0, 0), (1, 1), (0, 0), (1, 1)],
        // What the other one has made stays his, also where one comes to it.
        &[(0, 0), (1, 1), (0, 0), (0, 1)],
    ];
    for (ends, turns) in ends.iter().flat_map(|ends| turns.map(|turns| (ends, turns))) {
        // On other stores nothing shows who waits: whom the stranger's tag was taken by has to end last.
        if !containerd_store(engine.name()) && ends[1] != turns[0].0 {
            continue;
        }
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        let sessions = [SESSION, OTHER];
        let books = sessions.map(|_| Books::of(engine));
        let holds = [0, 1].map(|n| opened(&books[n], &key(PROJECT, sessions[n])));
        for (whose, what) in turns {
            build(&books[*whose], engine, sessions[*whose], "app:dev", *what);
        }
        drop(holds);
        for whose in *ends {
            end(&books[whose], engine, sessions[whose]);
        }
        // Who ended first waited for the other, turn by turn.
        for whose in ends.iter().cycle().take(6) {
            books[*whose].dkb(engine).session("another").args(["clean", "--stale"]).run().success();
        }
        assert_back(engine, &theirs.id, &format!("{ends:?} {turns:?}"));
        engine.wipe();
    }
}

fn a_tag_goes_back_past_what_two_sessions_built(engine: &Engine) {
    for ends in [[SESSION, OTHER], [OTHER, SESSION]] {
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        let books = Books::of(engine);
        let holds = [SESSION, OTHER].map(|session| opened(&books, &key(PROJECT, session)));
        build(&books, engine, SESSION, "app:dev", 1);
        build(&books, engine, OTHER, "other:dev", 1);
        build(&books, engine, OTHER, "app:dev", 2);
        drop(holds);
        for session in ends {
            end(&books, engine, session);
        }
        // A name that the first one gave what it left to the other may be the last one there.
        books.dkb(engine).args(["clean", "--all", "--tagged", "--yes"]).run().success();
        assert_back(engine, &theirs.id, &format!("{ends:?}"));
        engine.wipe();
    }
}
