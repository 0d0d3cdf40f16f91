//! Many short texts in one piece of memory.

use std::ops::Index;

/// A list of texts: their bytes one after the other, and where each ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Makes room for as many more texts.
    pub fn reserve(&mut self, count: usize) {
        self.ends.reserve(count);
    }

    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    /// Returns how many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the length of all texts together, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns a text.
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        self.bytes.get(start..end)
    }

    /// Lists the texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| &self[i])
    }

    /// Finds a text in a sorted list.
    pub fn binary_search(&self, text: &str) -> Option<usize> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self[middle].cmp(text) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }
}

impl Index<usize> for Texts {
    type Output = str;

    /// # Panics
    /// If `i` is not below [`Texts::len`], as indexing a slice does.
    fn index(&self, i: usize) -> &str {
        match self.get(i) {
            Some(text) => text,
            None => panic!("text {i} is outside 0..{}", self.len()),
        }
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Texts {
        let mut all = Texts::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were() {
        let texts: Texts = ["a", "", "béta", "z"].into_iter().collect();
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["a", "", "béta", "z"]);
        assert_eq!((texts.len(), texts.bytes(), texts.get(4)), (4, 7, None));
        let sorted: Texts = ["", "a", "b", "bb"].into_iter().collect();
        for (i, text) in ["", "a", "b", "bb"].into_iter().enumerate() {
            assert_eq!(sorted.binary_search(text), Some(i));
        }
        assert_eq!(sorted.binary_search("ab"), None);
        assert_eq!(Texts::default().binary_search(""), None);
    }
}
