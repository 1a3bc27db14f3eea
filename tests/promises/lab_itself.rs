//! What the other promises rely on: the lab does what it says, on each engine.

use dkb_lab::{Builder, Context, Engine, Promises, promises};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_new_engine_holds_nothing_but_the_base,
            each_image_of_a_large_call_gets_its_own_id,
            an_image_can_be_tagged_untagged_and_deleted,
        ])
        .on_every_builder(promises![an_image_is_built_run_listed_and_deleted])
}

fn a_new_engine_holds_nothing_but_the_base(engine: &Engine) {
    assert!(engine.images().is_empty());
    assert!(engine.has(dkb_lab::context::BASE));
    assert!(engine.api().containers().is_empty());
    assert!(engine.api().volumes().is_empty());
}

fn an_image_is_built_run_listed_and_deleted(engine: &Engine, builder: Builder) {
    let context = Context::from_base("COPY greeting /greeting\nRUN cat /greeting >/copy").file("greeting", "hello");
    engine.build(builder, &context, &["-t", "app:1", "--label", "lab=yes"]).success();
    engine.docker(["run", "--rm", "--network=none", "app:1", "cat", "/copy"]).run().success().says("hello");

    let image = engine.find("app:1").expect("the image is listed");
    assert_eq!(image.label("lab"), Some("yes"));

    engine.docker(["image", "rm", "app:1"]).run().success();
    assert!(!engine.has("app:1"));
}

fn each_image_of_a_large_call_gets_its_own_id(engine: &Engine) {
    let placed = engine.many(30, |i, image| {
        let image = image.label("number", &i.to_string());
        if i % 3 == 0 { image.tag(&format!("app:{i}")) } else { image }
    });
    for (i, image) in placed.iter().enumerate() {
        let listed = engine.find(image).expect("it is on the engine");
        assert_eq!(listed.label("number"), Some(i.to_string().as_str()));
        assert_eq!(listed.is_dangling(), i % 3 != 0);
    }
}

fn an_image_can_be_tagged_untagged_and_deleted(engine: &Engine) {
    let image = engine.image().stamp("app", "one").make();
    assert!(engine.find(&image).expect("listed").is_dangling());
    engine.tag(&image, "app:1");
    engine.tag(&image, "app:2");
    engine.untag("app:1");
    assert_eq!(engine.find(&image).expect("listed").tags.len(), 1);
    engine.untag("app:2");
    assert!(!engine.has(&image));
}
