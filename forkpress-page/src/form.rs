//! The fields of a query or of a form, as a browser sends them. Pure.

/// Fields, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `a=b&c=d`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// One more.
    pub fn add(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The first of a name, without spaces around it; none where it is not there or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn is_ticked(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of which the names begin so: what follows in the name, and the value as it was written.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Fields {
    fn from(fields: [(&str, &str); N]) -> Self {
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_an_empty_one_is_none() {
        let fields = Fields::parse(b"name=+a%26b+&empty=&on=1&take.ab=ours&take.cd=%0Ax");
        assert_eq!(fields.get("name"), Some("a&b"));
        assert_eq!((fields.get("empty"), fields.get("no")), (None, None));
        assert!(fields.is_ticked("on") && !fields.is_ticked("empty"));
        assert_eq!(fields.beginning("take.").collect::<Vec<_>>(), [("ab", "ours"), ("cd", "\nx")]);
    }
}
