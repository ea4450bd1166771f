//! What people are called when nobody says otherwise.

use anyhow::{Context, Result};
use entente_identity::Handle;

use crate::network::Plan;

const NAMES: [&str; 12] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kim",
    "leo",
];

/// One person on each server: alice on the first, bob on the second, and so on.
///
/// # Errors
/// Never for a network that [`Plan::new`] made.
pub fn one_per_server(plan: &Plan) -> Result<Vec<Handle>> {
    let servers = plan.servers.iter().enumerate();
    servers
        .map(|(index, server)| Ok(format!("{}@{}", name(index), server.domain).parse()?))
        .collect()
}

/// The people of a list such as `alice@org-a.test,bob`; who names no server gets one in turn.
///
/// # Errors
/// A name that cannot stand in a handle, or a server that the network does not have.
pub fn listed(plan: &Plan, list: &[String]) -> Result<Vec<Handle>> {
    let mut handles = Vec::new();
    for (index, text) in list.iter().enumerate() {
        let server = &plan.servers[index % plan.servers.len()];
        let full = match text.split_once('@') {
            Some((_, domain)) => {
                plan.server(domain)?;
                text.clone()
            }
            None => format!("{text}@{}", server.domain),
        };
        let handle = full.parse();
        handles.push(handle.with_context(|| format!("`{text}` names nobody"))?);
    }
    Ok(handles)
}

/// Those that are to be registered: of the list, or one on each server of a network without people.
///
/// # Errors
/// As for [`listed`].
pub fn newcomers(plan: &Plan, list: Option<&[String]>) -> Result<Vec<Handle>> {
    let mut wanted = match list {
        Some(list) => listed(plan, list)?,
        None if plan.people.is_empty() => one_per_server(plan)?,
        None => Vec::new(),
    };
    wanted.retain(|handle| !plan.people.contains(&handle.to_string()));
    Ok(wanted)
}

fn name(index: usize) -> String {
    match NAMES.get(index) {
        Some(name) => (*name).to_owned(),
        None => format!("person-{}", index + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entente_testnet_machine::PortClaim;

    #[test]
    fn people_are_spread_over_the_servers() {
        let mut plan = Plan::new(2, &PortClaim::any().unwrap()).unwrap();
        let check = |handles: Result<Vec<Handle>>, expect: &str| {
            let texts: Vec<String> = handles.unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(texts.join(" "), expect);
        };
        check(one_per_server(&plan), "alice@org-a.test bob@org-b.test");
        let list = ["zoe", "max", "eve@org-b.test"].map(str::to_owned);
        check(
            listed(&plan, &list),
            "zoe@org-a.test max@org-b.test eve@org-b.test",
        );
        assert!(listed(&plan, &["x@org-c.test".to_owned()]).is_err());
        assert!(listed(&plan, &["Zoe".to_owned()]).is_err());
        check(newcomers(&plan, None), "alice@org-a.test bob@org-b.test");
        plan.people = vec!["zoe@org-a.test".to_owned()];
        check(newcomers(&plan, None), "");
        check(
            newcomers(&plan, Some(&list)),
            "max@org-b.test eve@org-b.test",
        );
    }
}
