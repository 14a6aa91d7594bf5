//! Distance between two spellings.

/// Replaces letters that look alike by one of them.
pub(super) fn skeleton(text: &str) -> String {
    let alike = |c: char| match c {
        '0' | 'о' | 'ο' | 'օ' | 'ø' | 'ó' | 'ö' | 'ò' | 'ô' | 'õ' | 'ō' | 'ọ' => 'o',
        '1' | 'і' | 'ı' | 'ӏ' | 'ι' | 'í' | 'ì' | 'î' | 'ï' | 'ī' | 'ị' | 'i' | 'ł' | 'ǀ' | '|' => 'l',
        '3' | 'е' | 'é' | 'è' | 'ê' | 'ë' | 'ė' | 'ē' | 'ę' | 'ẹ' | 'ҽ' => 'e',
        '4' | 'а' | 'α' | 'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'ā' | 'ą' | 'ạ' | 'ɑ' => 'a',
        '5' | 'ѕ' | 'ş' | 'ș' | 'š' | 'ś' => 's',
        '7' => 't',
        '8' | 'Ь' | 'ь' | 'ḅ' => 'b',
        '9' | 'ɡ' | 'ġ' | 'ğ' | 'ģ' | 'ց' => 'g',
        'с' | 'ϲ' | 'ç' | 'ć' | 'č' | 'ċ' => 'c',
        'р' | 'ρ' => 'p',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ý' | 'ÿ' | 'ỵ' => 'y',
        'к' | 'κ' | 'ķ' | 'ḳ' => 'k',
        'т' | 'τ' | 'ţ' | 'ț' | 'ť' | 'ṭ' => 't',
        'м' | 'ṃ' => 'm',
        'һ' | 'ḥ' | 'հ' => 'h',
        'ԁ' | 'ḍ' | 'đ' => 'd',
        'ո' | 'п' | 'η' | 'ñ' | 'ń' | 'ň' | 'ṇ' => 'n',
        'ü' | 'ú' | 'ù' | 'û' | 'ū' | 'ụ' | 'υ' | 'ս' => 'u',
        'ѵ' | 'ν' | 'ṿ' => 'v',
        'ԝ' | 'ω' | 'ẁ' | 'ẉ' => 'w',
        'ž' | 'ź' | 'ż' | 'ẓ' => 'z',
        'ŕ' | 'ř' | 'г' | 'ṛ' => 'r',
        'ј' => 'j',
        'ԛ' => 'q',
        'ƒ' => 'f',
        '‐' | '‑' | '–' | '—' | '−' => '-',
        c => c,
    };
    // A mark above or below a letter is easy to miss.
    let text: String = text.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).map(alike).collect();
    text.replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// Whether `own` is `known` with a letter left out or doubled, two neighbours swapped, or a hyphen
/// added. Even in a short word, none of these makes another word.
pub(super) fn is_slip(written: &str, known: &str) -> bool {
    let (written, known): (Vec<char>, Vec<char>) = (written.chars().collect(), known.chars().collect());
    let without = |text: &[char], index: usize| {
        let (before, after) = text.split_at_checked(index).unwrap_or((text, &[]));
        [before, after.get(1..).unwrap_or_default()].concat()
    };
    let left_out = || known.len() > 2 && (0..known.len()).any(|index| without(&known, index) == written);
    let put_in = || {
        (0..written.len()).any(|index| {
            let is_double = index.checked_sub(1).and_then(|before| written.get(before)) == written.get(index);
            (written.get(index) == Some(&'-') || is_double) && without(&written, index) == known
        })
    };
    let swapped = || {
        (1..known.len()).any(|index| {
            let mut text = known.clone();
            text.swap(index - 1, index);
            text == written
        })
    };
    left_out() || put_in() || swapped()
}

/// Damerau-Levenshtein distance.
pub(super) fn edits(written: &str, known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=known.len()).collect();
    let mut last = None;
    for (row_index, c) in written.chars().enumerate() {
        let mut next = vec![row_index + 1];
        for (column, letter) in known.iter().enumerate() {
            let cell = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let changed = cell(&row, column) + usize::from(c != *letter);
            let best = changed.min(cell(&row, column + 1) + 1).min(cell(&next, column) + 1);
            let swapped = column
                .checked_sub(1)
                .filter(|previous| Some(*letter) == last && *letter != c && known.get(*previous) == Some(&c))
                .map_or(usize::MAX / 2, |previous| cell(&before, previous) + 1);
            next.push(best.min(swapped));
        }
        before = std::mem::replace(&mut row, next);
        last = Some(c);
    }
    row.last().copied().unwrap_or(0)
}
