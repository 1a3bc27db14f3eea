//! One plan carried out on one engine in memory, with whatever comes between.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use super::laws::Watch;
use super::scenes::Staged;
use super::stranger::Meddling;
use crate::apply::{Carried, apply, image};
use crate::bookkeeping::Need;
use crate::engine::fake::{Fake, Trouble};
use crate::model::{Moment, Plan, Step};

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// What comes between the requests, each at the request of its number.
#[derive(Clone, Debug, Default)]
pub(super) struct Between {
    pub(super) acts: Vec<(usize, Meddling)>,
    pub(super) trouble: Option<(usize, Trouble)>,
    pub(super) stop: Option<usize>,
    /// From here on a build that runs needs everything.
    pub(super) needed: Option<usize>,
}

impl Between {
    /// Nothing but strangers: no failure is to come of that.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.trouble.is_none() && self.stop.is_none()
    }
}

pub(super) struct Ran {
    pub(super) fake: Fake,
    pub(super) plan: Plan,
    pub(super) report: Carried,
    pub(super) watch: Watch,
}

impl Ran {
    /// What was asked and done, for whoever reads of a broken law.
    pub(super) fn log(&self) -> String {
        let mut log = String::new();
        for (nth, request) in self.fake.asked().iter().enumerate() {
            for (_, act) in self.watch.acted.iter().filter(|(at, _)| *at == nth) {
                let _ = writeln!(log, "      {act:?}");
            }
            let _ = writeln!(log, "{nth:4}  {request:?}");
        }
        log
    }
}

pub(super) fn run(staged: &Staged, between: &Between) -> Ran {
    let fake = Fake::with(staged.world.clone());
    let watch = Rc::new(RefCell::new(Watch::new(staged.claims.clone(), between.clone())));
    let (report, plan) = carry_out(&fake, staged, between, &watch);
    fake.undisturbed();
    let watch = Rc::into_inner(watch).expect("nobody else has it now").into_inner();
    Ran { fake, plan, report, watch }
}

fn carry_out(fake: &Fake, staged: &Staged, between: &Between, watch: &Rc<RefCell<Watch>>) -> (Carried, Plan) {
    let mut plan = staged.plan.clone();
    let meddling = Rc::clone(watch);
    fake.between(move |request, world| meddling.borrow_mut().at(request, world));
    let came = |to: Option<usize>| to.is_some_and(|to| watch.borrow().count >= to);
    let stop = poll_fn(|_| if came(between.stop) { Poll::Ready(()) } else { Poll::Pending });
    let going = |image| watch.borrow_mut().going(image);
    let deleter = image::ImageDeleter::of(fake, staged.can, &going);
    let tell = |moment, step: &Step| {
        if let Moment::Ended(outcome) = moment {
            watch.borrow_mut().ended(step, outcome);
        }
    };
    let need = async |_: &Step| if came(between.needed) { Need::Build } else { Need::None };
    let report = block_on(apply(&deleter, &mut plan, &staged.depths, need, stop, tell));
    (report, plan)
}
