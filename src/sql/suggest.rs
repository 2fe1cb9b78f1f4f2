//! "Did you mean": the nearest of a list of names.

/// The candidate nearest to `word`, if one is near enough to be a slip of the keyboard: at most one edit for every three
/// letters. Letter case does not count; swapped neighbours count once. Of equally near ones the first wins.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.is_empty() || word.len() > LETTERS_MAX {
        return None;
    }
    let edits_max = (word.len() / 3).max(1);
    let mut nearest: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        if letters.len().abs_diff(word.len()) > edits_max {
            continue;
        }
        let edits = distance(&word, &letters);
        if edits <= edits_max && edits < letters.len() && nearest.is_none_or(|(best, _)| edits < best) {
            nearest = Some((edits, candidate));
        }
    }
    nearest.map(|(_, candidate)| candidate)
}

/// [`did_you_mean`] as a hint: `Did you mean "orders"?`
pub fn hint_did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    did_you_mean(word, candidates).map(|candidate| format!("Did you mean \"{candidate}\"?"))
}

/// Longer words are not compared: the table of distances would grow with their square.
const LETTERS_MAX: usize = 128;

/// Edits between two words: insertion, deletion, substitution, swap of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut edits = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested() {
        let columns = ["order_id", "order_ts", "amount"];
        assert_eq!(did_you_mean("amuont", columns), Some("amount"));
        assert_eq!(did_you_mean("ORDER_IDD", columns), Some("order_id"));
        assert_eq!(did_you_mean("order_tz", columns), Some("order_ts"));
    }

    #[test]
    fn far_words_are_not() {
        assert_eq!(did_you_mean("customer", ["order_id", "amount"]), None);
        assert_eq!(did_you_mean("x", ["y"]), None);
        assert_eq!(did_you_mean("", ["y"]), None);
    }

    #[test]
    fn distance_counts_edits() {
        let edits =
            |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("ab", "ba"), 1);
        assert_eq!(edits("", "abc"), 3);
    }
}
