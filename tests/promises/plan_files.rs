//! Where a plan is written to: what stands there is a file or takes a stream, and stays what it is.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::process;
use std::thread;

use dkb_lab::{Engine, Promises, promises};
use serde_json::Value;

use crate::clean_host::{Books, PROJECT, SESSION, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on_every_engine(promises![a_plan_goes_to_files_pipes_and_stdout]).on_one_engine()
}

fn a_plan_goes_to_files_pipes_and_stdout(engine: &Engine) {
    let books = Books::of(engine);
    let image = engine.image().make();
    books.built(&key(PROJECT, SESSION), &image, &[]);
    let work = books.state.work();
    let dkb = |args: &[&str]| books.dkb(engine).args(args.iter().copied()).run().success();
    let is_the_plan = |text: &[u8]| {
        let plan: Value = serde_json::from_slice(text).expect("one document");
        assert_eq!(plan["steps"][0]["id"], *image.id, "{plan:#}");
    };

    let (pipe, link) = (work.join("pipe"), work.join("link"));
    assert!(process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let from = pipe.clone();
    let reader = thread::spawn(move || fs::read(from).expect("a text"));
    dkb(&["clean", "--plan", "pipe"]).says("would remove");
    assert!(fs::symlink_metadata(&pipe).expect("the pipe").file_type().is_fifo());
    is_the_plan(&reader.join().expect("a reader"));

    fs::write(work.join("plan.json"), "what was there").expect("a file");
    symlink("plan.json", &link).expect("a link");
    dkb(&["clean", "--plan", "link"]).says("would remove");
    is_the_plan(&fs::read(work.join("plan.json")).expect("the plan"));
    assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());

    // As the result it is alone on stdout.
    for verb in [&["clean"][..], &["sweep", "--only", "images", "--until", "0s"]] {
        for format in [&[][..], &["--format", "json"]] {
            let output = dkb(&[verb, &["--plan", "/dev/stdout"], format].concat());
            is_the_plan(&output.stdout);
        }
    }
    let mut left: Vec<_> = fs::read_dir(&work).expect("the folder").flatten().map(|one| one.file_name()).collect();
    left.sort();
    assert_eq!(left, ["link", "pipe", "plan.json"], "nothing else is left there");
    dkb(&["clean", "--apply", "plan.json"]);
    assert!(!engine.has(&image));
}
