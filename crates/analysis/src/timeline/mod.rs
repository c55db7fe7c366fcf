//! What a page draws over time: live bytes, who had allocated them, and the lives of addresses with excess frees.
//!
//! The traces are replayed once more for it, after the blame: only a report that draws pays for this. What is kept grows
//! with addresses and stacks; what is handed out is bounded, and says what it has left out.

mod bins;
mod follow;
mod latest;
mod lines;
mod live;
mod model;
#[cfg(test)]
mod tests;
mod told;

pub use model::Allocated;
pub use model::Buffer;
pub use model::LatestExcess;
pub use model::Level;
pub use model::LifeEnd;
pub use model::LifeLine;
pub use model::LineLife;
pub use model::LiveStack;
pub use model::Strike;
pub use model::Timeline;

use crate::Analysis;
use crate::evidence;
use crate::evidence::Charged;
use crate::replay::replay;
use crate::sites::Sites;
use crate::sources::Source;

use follow::Followed;

/// Of so many culprits, the address of the example has a line.
const EXAMPLES: usize = 200;

/// The run over time; `charged` are the frees that `analysis` charges to its culprits.
pub(crate) fn timeline(
    sources: &[Source<'_>],
    analysis: &Analysis,
    charged: &Charged,
    sites: &mut Sites<'_>,
) -> Timeline {
    let start_ns = sources.iter().map(evidence::start).min().unwrap_or(0);
    let examples = analysis.culprits.iter().take(EXAMPLES);
    let examples = examples.map(|it| (it.example.pid, it.example.device, it.example.address));
    let worst = analysis.worst_buffers.iter();
    let worst = worst.map(|it| (it.pid, it.device, it.address));
    let mut followed = Followed::new(sources, start_ns, examples.chain(worst).collect());
    replay(sources, &mut followed);
    told::timeline(followed, start_ns, charged, sites)
}
