//! Texts that scripts are given. Every hold is described in a few dozen numbers: formatting them
//! would take longer than anything else that is done with it here.

/// Writes a number after what is there.
pub fn push_number(text: &mut String, number: impl itoa::Integer) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// Writes places of a stretch: `place.place;`
pub fn push_places(text: &mut String, places: &[i32]) {
    for (at, place) in places.iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        push_number(text, *place);
    }
    text.push(';');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_scripts_read_them() {
        let mut text = String::from("a:");
        push_number(&mut text, i32::MIN);
        text.push(' ');
        push_places(&mut text, &[7, 0, 12]);
        push_places(&mut text, &[]);
        assert_eq!(text, "a:-2147483648 7.0.12;;");
    }
}
