//! PHP's `serialize()` format: read as strictly as PHP writes it, so that what is written from it has the same bytes.

use std::borrow::Cow;
use std::collections::HashSet;

use super::number;
use super::tree::{Member, Shape, Value};
use crate::structure::{Item, Node, children, serialized};

/// The tree of a serialized value; none where PHP would not write it so, or where it is nested too deep.
///
/// A reference is the number of another value, counted from the beginning. What is taken out or put in before that
/// would make it another one's, so a structure with a reference anywhere is a single value.
pub(super) fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let nodes = serialized::parse(bytes)?;
    let value = Reader { bytes, nodes: &nodes }.value(0)?;
    let refers = nodes.iter().any(|node| match node.item {
        Item::Reference => true,
        Item::Opaque(text) => text.windows(3).any(|part| matches!(part, [b'r' | b'R', b':', b'0'..=b'9'])),
        _ => false,
    });
    Some(if refers { Value { written: bytes, shape: Shape::Single } } else { value })
}

pub(super) fn text(text: &[u8]) -> Vec<u8> {
    serialized::text(text)
}

/// An array of members: how each one's key and its value are written.
pub(super) fn map<'a>(members: impl ExactSizeIterator<Item = (&'a [u8], Vec<u8>)>) -> Vec<u8> {
    let mut out = format!("a:{}:{{", members.len()).into_bytes();
    for (key, value) in members {
        out.extend(key);
        out.extend(value);
    }
    out.push(b'}');
    out
}

pub(super) fn list(values: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let keys: Vec<_> = (0..values.len()).map(|number| key(number.to_string().as_bytes())).collect();
    map(keys.iter().map(|key| &key[..]).zip(values))
}

/// How a key is written. A name that is a number in digits is one to PHP.
pub(super) fn key(name: &[u8]) -> Vec<u8> {
    if number(name).is_some() { [b"i:", name, b";"].concat() } else { text(name) }
}

fn is_length(text: &[u8]) -> bool {
    number(text).is_some_and(|length| length >= 0)
}

struct Reader<'a, 'n> {
    bytes: &'a [u8],
    nodes: &'n [Node<'a>],
}

impl<'a> Reader<'a, '_> {
    fn value(&self, number: usize) -> Option<Value<'a>> {
        let node = &self.nodes[number];
        let written = &self.bytes[node.range.clone()];
        let shape = match &node.item {
            Item::Text(content) => (text(content) == written).then(|| Shape::Text(content.clone()))?,
            Item::Scalar(content) => is_scalar(written, content).then_some(Shape::Single)?,
            Item::Reference => {
                let target = written.get(2..written.len() - 1)?;
                (written[1] == b':' && is_length(target) && target != b"0").then_some(Shape::Single)?
            }
            Item::Opaque(_) => is_header(header(written)?).then_some(Shape::Single)?,
            Item::Group if written[0] == b'O' => {
                let header = header(written)?;
                self.members(number, header.len())?;
                is_header(header).then_some(Shape::Single)?
            }
            Item::Group => {
                let header = header(written)?;
                let members = self.members(number, header.len())?;
                let is_canonical = format!("a:{}:{{", members.len()).as_bytes() == header;
                let keys: HashSet<_> = members.iter().map(|member| &member.name).collect();
                let is_array = is_canonical && keys.len() == members.len();
                let is_list = members.iter().enumerate().all(|(at, member)| *member.name == *at.to_string().as_bytes());
                match is_array.then_some(is_list)? {
                    true => Shape::List(members.into_iter().map(|member| member.value).collect()),
                    false => Shape::Map(members),
                }
            }
        };
        Some(Value { written, shape })
    }

    /// What is in a group whose header has so many bytes.
    fn members(&self, number: usize, header: usize) -> Option<Vec<Member<'a>>> {
        let start = self.nodes[number].range.start;
        let is_object = self.bytes[start] == b'O';
        let mut end = start + header;
        let member = |child: usize| {
            let range = self.nodes[child].range.clone();
            let written = &self.bytes[end..range.start];
            end = range.end;
            let name = match &self.nodes[child].key {
                Some(key) => key.name.clone(),
                None => Cow::Borrowed(written.get(2..written.len().checked_sub(1)?)?),
            };
            // The property of an object may be called so as well.
            let is_property = || is_object && text(&name) == written;
            (key(&name) == written || is_property()).then_some(())?;
            Some(Member { name, key: written, value: self.value(child)? })
        };
        children(self.nodes, number).map(member).collect()
    }
}

/// What an array or an object begins with, up to the bracket.
fn header(written: &[u8]) -> Option<&[u8]> {
    written.iter().position(|byte| *byte == b'{').map(|bracket| &written[..=bracket])
}

/// Whether this is what an object begins with: its class and how much it has, each with its length.
fn is_header(header: &[u8]) -> bool {
    let parts: Vec<_> = header.split(|byte| *byte == b':').collect();
    let is_of_class = |byte: &u8| byte.is_ascii_alphanumeric() || b"_\\".contains(byte) || *byte >= 0x7f;
    let is_class = |class: &[u8]| class.len() > 2 && class[1..class.len() - 1].iter().all(is_of_class);
    matches!(parts[..], [_, length, class, count, b"{"] if is_length(length) && is_length(count) && is_class(class))
}

fn is_scalar(written: &[u8], content: &[u8]) -> bool {
    match written[0] {
        b'N' => true,
        b'b' => matches!(content, b"0" | b"1"),
        b'i' => number(content).is_some(),
        b'd' => is_float(content),
        // The case of an enum.
        _ => {
            [format!("E:{}:\"", content.len()).as_bytes(), content, b"\";"].concat() == written
                && content.contains(&b':')
        }
    }
}

fn is_float(text: &[u8]) -> bool {
    let is_of_it = |byte: &u8| byte.is_ascii_digit() || b"-+.eE".contains(byte);
    let is_parsed = || std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok());
    matches!(text, b"INF" | b"-INF" | b"NAN") || text.iter().all(is_of_it) && is_parsed()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::merge::value::tests::Random;
    use crate::testing::php;

    /// A value put together anew from its leaves.
    fn rewritten(value: &Value<'_>) -> Vec<u8> {
        match &value.shape {
            Shape::Single => value.written.to_vec(),
            Shape::Text(content) => text(content),
            Shape::List(values) => list(values.iter().map(rewritten)),
            Shape::Map(members) => {
                let keys: Vec<_> = members.iter().map(|member| key(&member.name)).collect();
                map(keys
                    .iter()
                    .map(|key| &key[..])
                    .zip(members.iter().map(|member| rewritten(&member.value)).collect::<Vec<_>>()))
            }
        }
    }

    fn random(random: &mut Random, depth: usize) -> Vec<u8> {
        let kinds = if depth == 0 { 5 } else { 8 };
        match random.below(kinds) {
            0 => b"N;".to_vec(),
            1 => format!("b:{};", random.below(2)).into(),
            2 => {
                ["i:0;", "i:-1;", "i:9223372036854775807;", "i:-9223372036854775808;", "i:42;"][random.below(5)].into()
            }
            3 => ["d:0.1;", "d:-0;", "d:1.0E+25;", "d:INF;", "d:-INF;", "d:NAN;", "d:5;"][random.below(7)].into(),
            4 => text(&random.bytes()),
            5 => list((0..random.below(4)).map(|_| self::random(random, depth - 1)).collect::<Vec<_>>().into_iter()),
            6 => {
                let names: HashSet<Vec<u8>> = (0..random.below(4))
                    .map(|_| if random.below(2) == 0 { random.bytes() } else { random.below(9).to_string().into() })
                    .collect();
                let values: Vec<_> = names.iter().map(|_| self::random(random, depth - 1)).collect();
                {
                    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
                    map(keys.iter().map(|key| &key[..]).zip(values))
                }
            }
            _ => [b"O:8:\"stdClass\":1:{", &text(b"a")[..], &self::random(random, depth - 1), b"}"].concat(),
        }
    }

    #[test]
    fn each_type_is_read_and_written_back_as_it_was() {
        for written in [
            "N;",
            "b:1;",
            "i:-5;",
            "d:0.10000000000000001;",
            "s:3:\"a\"b\";",
            "s:0:\"\";",
            "a:0:{}",
            "a:2:{i:0;i:1;i:1;i:2;}",
            "a:2:{i:1;i:1;i:0;i:2;}",
            "a:2:{s:1:\"a\";a:1:{i:-3;N;}i:7;b:0;}",
            "O:8:\"stdClass\":2:{s:1:\"5\";i:1;s:4:\"\0*\0a\";N;}",
            "C:11:\"ArrayObject\":3:{abc}",
            "E:7:\"Suit:Up\";",
        ] {
            let value = read(written.as_bytes()).unwrap_or_else(|| panic!("{written}"));
            assert_eq!(rewritten(&value), written.as_bytes(), "{written}");
        }
    }

    #[test]
    fn a_list_is_told_from_a_map() {
        let is_list = |written: &str| matches!(read(written.as_bytes()).unwrap().shape, Shape::List(_));
        assert!(is_list("a:0:{}"));
        assert!(is_list("a:2:{i:0;N;i:1;N;}"));
        assert!(!is_list("a:2:{i:1;N;i:0;N;}"));
        assert!(!is_list("a:1:{i:1;N;}"));
        assert!(!is_list("a:1:{s:1:\"a\";N;}"));
    }

    #[test]
    fn objects_and_whatever_refers_to_another_place_are_single_values() {
        for written in [
            "O:1:\"A\":1:{s:1:\"a\";i:1;}",
            "a:2:{s:1:\"a\";i:1;s:1:\"b\";R:2;}",
            "a:2:{s:1:\"a\";O:1:\"A\":0:{}s:1:\"b\";r:2;}",
            "a:1:{s:1:\"a\";C:1:\"A\":4:{r:1;}}",
        ] {
            assert!(matches!(read(written.as_bytes()).unwrap().shape, Shape::Single), "{written}");
        }
        let map = read(b"a:1:{s:1:\"a\";O:1:\"A\":1:{s:1:\"a\";a:0:{}}}").unwrap();
        assert!(matches!(map.members().unwrap()[0].value.shape, Shape::Single));
    }

    #[test]
    fn what_php_would_not_write_is_no_structure() {
        for written in [
            "",
            "a",
            "N",
            "b:2;",
            "i:05;",
            "i:+5;",
            "i:9223372036854775808;",
            "i:5",
            "d:x;",
            "s:2:\"abc\";",
            "s:03:\"abc\";",
            "s:3:\"abc\"",
            "a:1:{}",
            "a:+1:{i:0;N;}",
            "a:0:{}x",
            "a:2:{i:0;N;i:0;N;}",
            "a:1:{s:1:\"5\";N;}",
            "a:1:{N;N;}",
            "a:1:{i:x;N;}",
            "O:1:\"A\":01:{s:1:\"a\";N;}",
            "O:3:\"A B\":0:{}",
            "E:4:\"Suit\";",
            "R:0;",
            "R;",
            "a:99999999999999999999:{}",
        ] {
            assert!(read(written.as_bytes()).is_none(), "{written}");
        }
        let deep = "a:1:{i:0;".repeat(100_000) + "N;" + &"}".repeat(100_000);
        assert!(read(deep.as_bytes()).is_none());
    }

    #[test]
    fn random_trees_are_read_and_written_back() {
        let mut numbers = Random::new();
        for _ in 0..3000 {
            let written = random(&mut numbers, 5);
            let value = read(&written).unwrap_or_else(|| panic!("{}", written.escape_ascii()));
            assert_eq!(rewritten(&value), written);
        }
    }

    #[test]
    fn what_php_writes_is_read_and_written_back() {
        let script = r#"
            enum Suit: string { case Up = 'u'; case Down = 'd'; }
            class Own { public $a = 1; protected $b = [1]; private $c = 'x'; public ?Own $next = null; }
            mt_srand(7);
            function value(int $depth) {
                switch (mt_rand(0, $depth ? 11 : 6)) {
                    case 0: return null;
                    case 1: return (bool) mt_rand(0, 1);
                    case 2: return [0, -1, PHP_INT_MAX, PHP_INT_MIN, 77][mt_rand(0, 4)];
                    case 3: return [0.1, -0.0, 1e25, INF, -INF, NAN, 1/3, 5.0, 1e-7][mt_rand(0, 8)];
                    case 4: return substr(md5((string) mt_rand(), true), 0, mt_rand(0, 9));
                    case 5: return 's:5:"a";}{' . mt_rand();
                    case 6: return Suit::Up;
                    case 7: return new Own();
                    case 8: return (object) ['5' => value($depth - 1), 'x' => value($depth - 1)];
                    case 9: $same = new Own(); return [$same, 'again' => $same];
                    default:
                        $array = [];
                        for ($n = mt_rand(0, 4); $n > 0; $n--) {
                            $value = value($depth - 1);
                            if (mt_rand(0, 1)) { $array[] = $value; }
                            else { $array[[-4, '', '05', '-0', 'k', 'é', 9, ' 1'][mt_rand(0, 7)]] = $value; }
                        }
                        return $array;
                }
            }
            for ($n = 0; $n < 3000; $n++) { echo base64_encode(serialize(value(4))), "\n"; }
        "#;
        let Some(lines) = php(script, b"") else { return };
        let mut count = 0;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let written = STANDARD.decode(line).unwrap();
            let value = read(&written).unwrap_or_else(|| panic!("{}", written.escape_ascii()));
            assert_eq!(rewritten(&value), written);
            count += 1;
        }
        assert_eq!(count, 3000);
    }

    #[test]
    fn what_is_read_of_damaged_bytes_php_reads_as_well() {
        let mut numbers = Random::new();
        let mut candidates = Vec::new();
        let mut readable = 0;
        for _ in 0..60_000 {
            let mut written = random(&mut numbers, 3);
            for _ in 0..=numbers.below(2) {
                let at = numbers.below(written.len());
                match numbers.below(3) {
                    0 => written[at] = b"0123456789:;{}\"aNbdiOs+-.E"[numbers.below(26)],
                    1 => drop(written.remove(at)),
                    _ => written.insert(at, b"0123456789:;{}\"aNbdiOs+-.E"[numbers.below(26)]),
                }
                if written.is_empty() {
                    break;
                }
            }
            if read(&written).is_some() {
                readable += 1;
                candidates.extend(STANDARD.encode(&written).into_bytes());
                candidates.push(b'\n');
            }
        }
        assert!(readable > 1000, "{readable}");
        let script = r#"
            while (($line = fgets(STDIN)) !== false) {
                $written = base64_decode(trim($line));
                $value = @unserialize($written, ['allowed_classes' => ['stdClass']]);
                if ($value === false && $written !== 'b:0;') { echo $written, "\n"; }
            }
        "#;
        let Some(refused) = php(script, &candidates) else { return };
        assert_eq!(refused.escape_ascii().to_string(), "", "refused by PHP");
    }
}
