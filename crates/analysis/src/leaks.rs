//! Buffers that were never freed, by the site that allocated them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Leak;
use crate::Site;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::tally::Tally;

/// The allocation sites of all instances that no deallocate of their own ended, most instances first.
pub(crate) fn leaks(tally: &Tally<'_>, sites: &mut Sites<'_>) -> Vec<Leak> {
    let mut found: BTreeMap<SiteId, Leak> = BTreeMap::new();
    let leaked = || tally.leaks.iter().filter(|(_, leaked)| leaked.count > 0);
    tally.prepare(leaked().map(|(stack, _)| stack), sites);
    for (stack, leaked) in leaked() {
        let chain = tally.chain(stack, sites);
        let site = allocating_site(sites, chain);
        let (trace, stack) = tally.stacks.of(stack);
        let leak = found.entry(site).or_insert_with(|| Leak {
            site: Site {
                frame: sites.frame(site).clone(),
            },
            count: 0,
            bytes: 0,
            stack: Arc::clone(&sites.stack(trace, stack)),
        });
        leak.count += leaked.count;
        let bytes = u64::try_from(leaked.bytes).unwrap_or(u64::MAX);
        leak.bytes = leak.bytes.saturating_add(bytes);
    }
    let mut leaks: Vec<Leak> = found.into_values().collect();
    leaks.sort_by(|a, b| {
        let key = |leak: &Leak| (std::cmp::Reverse(leak.count), std::cmp::Reverse(leak.bytes));
        key(a).cmp(&key(b)).then_with(|| a.site.cmp(&b.site))
    });
    leaks
}

/// The innermost call site outside of the runtime's own libraries, where there is one.
fn allocating_site(sites: &Sites<'_>, chain: ChainId) -> SiteId {
    let of_caller = |&&site: &&SiteId| !sites.is_runtime(site);
    let caller = sites.sites(chain).iter().find(of_caller).copied();
    caller.unwrap_or_else(|| sites.innermost(chain))
}
