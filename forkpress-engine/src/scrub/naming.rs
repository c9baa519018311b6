//! What kind of data a column, a meta key or a key in a value has, by what it is called. Pure.

use super::kind::Kind;

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) kind: Kind,
    /// Whether it says that of a person whatever is beside it: `billing_city` does, and `city` does not.
    pub(super) is_sure: bool,
}

/// Ends of names, the longer ones of a kind first, and whether they are sure.
const ENDS: [(&str, Kind, bool); 104] = [
    ("email", Kind::Email, true),
    ("e_mail", Kind::Email, true),
    ("mail", Kind::Email, true),
    ("emailaddress", Kind::Email, true),
    ("email_address", Kind::Email, true),
    ("mail_address", Kind::Email, true),
    ("first_name", Kind::FirstName, true),
    ("firstname", Kind::FirstName, true),
    ("fname", Kind::FirstName, true),
    ("given_name", Kind::FirstName, true),
    ("middle_name", Kind::FirstName, true),
    ("last_name", Kind::LastName, true),
    ("lastname", Kind::LastName, true),
    ("lname", Kind::LastName, true),
    ("surname", Kind::LastName, true),
    ("family_name", Kind::LastName, true),
    ("display_name", Kind::FullName, false),
    ("full_name", Kind::FullName, true),
    ("fullname", Kind::FullName, true),
    ("nickname", Kind::FullName, true),
    ("cardholder", Kind::FullName, true),
    ("account_holder", Kind::FullName, true),
    ("card_name", Kind::FullName, true),
    ("name", Kind::FullName, false),
    ("author", Kind::FullName, false),
    ("user_login", Kind::Login, true),
    ("userlogin", Kind::Login, true),
    ("user_name", Kind::Login, true),
    ("username", Kind::Login, true),
    ("login", Kind::Login, false),
    ("nicename", Kind::Login, true),
    ("phone", Kind::Phone, true),
    ("telephone", Kind::Phone, true),
    ("tel", Kind::Phone, true),
    ("mobile", Kind::Phone, true),
    ("cellphone", Kind::Phone, true),
    ("cell", Kind::Phone, false),
    ("fax", Kind::Phone, true),
    ("whatsapp", Kind::Phone, true),
    ("phone_number", Kind::Phone, true),
    ("mobile_number", Kind::Phone, true),
    ("phone_no", Kind::Phone, true),
    ("ip", Kind::Ip, true),
    ("ip_address", Kind::Ip, true),
    ("ipaddress", Kind::Ip, true),
    ("ip_addr", Kind::Ip, true),
    ("remote_addr", Kind::Ip, true),
    ("address", Kind::Street, false),
    ("address_line", Kind::Street, true),
    ("addr", Kind::Street, false),
    ("street", Kind::Street, false),
    ("street_address", Kind::Street, true),
    ("address_1", Kind::Street, true),
    ("address_line_1", Kind::Street, true),
    ("address_2", Kind::Unit, true),
    ("address_line_2", Kind::Unit, true),
    ("address_3", Kind::Unit, true),
    ("street_2", Kind::Unit, false),
    ("address_index", Kind::Index, true),
    ("city", Kind::City, false),
    ("town", Kind::City, false),
    ("locality", Kind::City, false),
    ("postcode", Kind::Postcode, false),
    ("post_code", Kind::Postcode, false),
    ("postal_code", Kind::Postcode, false),
    ("zip", Kind::Postcode, false),
    ("zipcode", Kind::Postcode, false),
    ("zip_code", Kind::Postcode, false),
    ("company", Kind::Company, false),
    ("company_name", Kind::Company, false),
    ("organization", Kind::Company, false),
    ("organisation", Kind::Company, false),
    ("birthday", Kind::Birthday, true),
    ("birthdate", Kind::Birthday, true),
    ("birth_date", Kind::Birthday, true),
    ("date_of_birth", Kind::Birthday, true),
    ("dob", Kind::Birthday, true),
    ("iban", Kind::Number, true),
    ("ssn", Kind::Number, true),
    ("passport", Kind::Number, true),
    ("vat_number", Kind::Number, true),
    ("vat_id", Kind::Number, true),
    ("tax_number", Kind::Number, true),
    ("account_number", Kind::Number, true),
    ("card_number", Kind::Number, true),
    ("last_4", Kind::Number, true),
    ("transaction_id", Kind::Number, true),
    ("payer_id", Kind::Number, true),
    ("user_agent", Kind::Agent, true),
    ("useragent", Kind::Agent, true),
    ("agent", Kind::Agent, false),
    ("url", Kind::Url, false),
    ("website", Kind::Url, false),
    ("homepage", Kind::Url, false),
    ("bio", Kind::Text, false),
    ("biography", Kind::Text, false),
    ("note", Kind::Text, false),
    ("password", Kind::Secret, false),
    ("passwd", Kind::Secret, false),
    ("session_tokens", Kind::Secret, true),
    ("token", Kind::Secret, false),
    ("activation_key", Kind::Secret, true),
    ("secret", Kind::Secret, false),
    ("secret_key", Kind::Secret, false),
];

/// Words that say that a name is about a person.
const OF_PEOPLE: [&str; 25] = [
    "anonymous",
    "applicant",
    "attendee",
    "author",
    "billing",
    "buyer",
    "client",
    "contact",
    "customer",
    "donor",
    "guest",
    "lead",
    "member",
    "patient",
    "payer",
    "recipient",
    "sender",
    "shipping",
    "student",
    "subscriber",
    "user",
    "commenter",
    "employee",
    "participant",
    "person",
];

/// Names of payment services. What one of them calls a customer, a card or a payment is an account number.
const PAYMENT: [&str; 8] = ["stripe", "paypal", "braintree", "square", "mollie", "klarna", "authorize", "adyen"];

/// What a name says; none where that is nothing of a person.
pub(super) fn named(name: &str) -> Option<Named> {
    let words = words(name);
    let is_of_people = words.iter().any(|word| OF_PEOPLE.contains(&word.as_str()));
    let last = words.last()?;
    if words.iter().any(|word| PAYMENT.contains(&word.as_str())) && ["id", "token", "key"].contains(&last.as_str()) {
        return Some(Named { kind: Kind::Number, is_sure: true });
    }
    let joined = words.join("_");
    // A second one is called `email_2`.
    let single = joined.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('_');
    let end = |joined: &str| {
        let is_end =
            |end: &str| joined.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('_'));
        ENDS.iter().filter(|(end, ..)| is_end(end)).max_by_key(|(end, ..)| end.len())
    };
    let (end, kind, is_sure) = end(&joined).or_else(|| end(single))?;
    // A `file_name` is nobody's, and a `logo_url` neither.
    if matches!(*end, "name" | "url" | "author" | "note") && words.len() > 1 && !is_of_people {
        return None;
    }
    let is_sure = *is_sure || is_of_people && !matches!(kind, Kind::Url | Kind::Secret);
    Some(Named { kind: *kind, is_sure })
}

/// The words of a name, in small letters: `billingAddress1` has three.
fn words(name: &str) -> Vec<String> {
    #[derive(PartialEq)]
    enum Is {
        Small,
        Capital,
        Digit,
        Other,
    }
    let mut words: Vec<String> = Vec::new();
    let mut last = Is::Other;
    for letter in name.chars() {
        let is = match letter {
            letter if letter.is_ascii_digit() => Is::Digit,
            letter if letter.is_uppercase() => Is::Capital,
            letter if letter.is_alphabetic() => Is::Small,
            _ => Is::Other,
        };
        let begins = match (&last, &is) {
            (_, Is::Other) => false,
            (Is::Capital, Is::Small) => false,
            (last, is) => last != is,
        };
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| is != Is::Other) {
            word.extend(letter.to_lowercase());
        }
        last = is;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_called_so() {
        for (name, kind, is_sure) in [
            ("user_email", Kind::Email, true),
            ("billing-email", Kind::Email, true),
            ("e_mail_2", Kind::Email, true),
            ("_billing_first_name", Kind::FirstName, true),
            ("BillingLastName", Kind::LastName, true),
            ("billing_address_1", Kind::Street, true),
            ("address1", Kind::Street, true),
            ("_VenuePhone", Kind::Phone, true),
            ("_billing_address_index", Kind::Index, true),
            ("shippingCity", Kind::City, true),
            ("city", Kind::City, false),
            ("ip", Kind::Ip, true),
            ("comment_author_IP", Kind::Ip, true),
            ("_customer_ip_address", Kind::Ip, true),
            ("_stripe_customer_id", Kind::Number, true),
            ("name", Kind::FullName, false),
            ("dob", Kind::Birthday, true),
            ("your-phone", Kind::Phone, true),
        ] {
            assert_eq!(named(name), Some(Named { kind, is_sure }), "{name}");
        }
    }

    #[test]
    fn other_names_say_nothing() {
        for name in ["_thumbnail_id", "post_title", "zipped", "_sku", "ship", "microphone", "country", "state", "", "_"]
        {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
