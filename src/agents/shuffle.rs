//! An order of texts that depends on nothing but the texts and a seed.

/// Returns a permutation of the indices of `texts`. Equal texts and seeds give equal orders, so that a repeated request is the
/// same request.
pub(super) fn order(texts: &[String], seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&index| (hash(texts[index].as_bytes(), seed), index));
    order
}

/// FNV-1a, which is the same on every machine and in every version, unlike the hasher of the standard library.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    // The high bits of FNV depend little on the last bytes.
    (hash ^ (hash >> 32)).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("Idea {number}")).collect()
    }

    #[test]
    fn an_order_is_a_permutation_and_depends_on_the_seed() {
        let orders: Vec<_> = (0..20).map(|seed| order(&texts(7), seed)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
        }
        let firsts: std::collections::BTreeSet<_> = orders.iter().map(|order| order[0]).collect();
        assert!(firsts.len() > 3, "{firsts:?}");
        assert_eq!(orders[3], order(&texts(7), 3));
    }

    #[test]
    fn the_order_follows_the_texts_and_not_their_places() {
        let mut reversed = texts(5);
        reversed.reverse();
        let shown =
            |texts: &[String]| order(texts, 7).into_iter().map(|index| texts[index].clone()).collect::<Vec<_>>();
        assert_eq!(shown(&texts(5)), shown(&reversed));
    }
}
