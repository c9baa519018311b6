//! The list of active plugins, without the SQLite driver: an export goes to a place that has MySQL.

use forkpress_core::driver;

use crate::structure::{Item, children, serialized};

/// A serialized list of plugins without the driver; none where it is not in it.
///
/// A site has them as values, a network as keys. WordPress does not mind a gap in the numbers of the list.
pub(super) fn without_driver(list: &[u8]) -> Option<Vec<u8>> {
    let nodes = serialized::parse(list)?;
    let is_driver = |name: &[u8]| name.strip_prefix(driver::NAME.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    let header = list.iter().position(|byte| *byte == b'{')? + 1;
    let (mut kept, mut count, mut begin) = (Vec::new(), 0, header);
    let members: Vec<_> = children(&nodes, 0).collect();
    for &member in &members {
        let node = &nodes[member];
        let is_driver = match &node.item {
            Item::Text(name) => is_driver(name),
            _ => node.key.as_ref().is_some_and(|key| is_driver(&key.name)),
        };
        if !is_driver {
            kept.extend_from_slice(&list[begin..node.range.end]);
            count += 1;
        }
        begin = node.range.end;
    }
    (count < members.len()).then(|| [format!("a:{count}:{{").as_bytes(), &kept, b"}"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_goes_and_other_plugins_stay() {
        let plugin = |name: &str| format!("s:{}:\"{name}\";", name.len());
        let (driver, other) = (plugin("sqlite-database-integration/load.php"), plugin("a/a.php"));
        for (list, without) in [
            (format!("a:2:{{i:0;{other}i:1;{driver}}}"), format!("a:1:{{i:0;{other}}}")),
            (format!("a:2:{{i:0;{driver}i:1;{other}}}"), format!("a:1:{{i:1;{other}}}")),
            (format!("a:2:{{{driver}i:17;{other}i:18;}}"), format!("a:1:{{{other}i:18;}}")),
            (format!("a:1:{{i:0;{driver}}}"), "a:0:{}".to_owned()),
        ] {
            assert_eq!(without_driver(list.as_bytes()), Some(without.into_bytes()), "{list}");
        }
        for list in [format!("a:1:{{i:0;{other}}}"), "a:0:{}".to_owned(), "broken".to_owned(), driver] {
            assert_eq!(without_driver(list.as_bytes()), None, "{list}");
        }
    }
}
