//! The login call of Salesforce's SOAP API, and faults in SOAP's shape.
//!
//! [`read`] tells a login from every other call; the others are not open yet. What it reads goes nowhere, so elements
//! are known by their local names alone: there is no second reader to disagree with.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesRef, Event};

use super::Credentials;
use super::who::Who;
use crate::engine::identity::session::Began;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::secret::Secret;

/// Deepest nesting of an envelope.
pub(in super::super) const DEPTH_MAX: usize = 32;

/// Which WSDL a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wsdl {
    /// `/services/Soap/u/`.
    Partner,
    /// `/services/Soap/c/`.
    Enterprise,
}

impl Wsdl {
    pub(in super::super) fn letter(self) -> char {
        match self {
            Self::Partner => 'u',
            Self::Enterprise => 'c',
        }
    }

    pub(in super::super) fn word(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Enterprise => "enterprise",
        }
    }
}

/// One call.
#[derive(Debug)]
pub enum Call {
    /// `login`.
    Login(Credentials),
    /// Anything else, with the session id of its header.
    Other {
        /// The session id, if there is one.
        session: Option<Secret<String>>,
        /// The call's name.
        name: String,
    },
}

pub(in super::super) fn malformed() -> Refusal {
    Refusal::new(
        Reason::MalformedBody,
        "the request body is no SOAP envelope that can be read",
    )
    .coded("INVALID_REQUEST")
}

/// The values that are looked for, by their paths of local names: user name, password, session id.
const LEAVES: [&[&str]; 3] = [
    &["Envelope", "Body", "login", "username"],
    &["Envelope", "Body", "login", "password"],
    &["Envelope", "Header", "SessionHeader", "sessionId"],
];

/// Which of [`LEAVES`] is open.
fn leaf(path: &[String]) -> Option<usize> {
    LEAVES
        .iter()
        .position(|leaf| path.iter().map(String::as_str).eq(leaf.iter().copied()))
}

/// Reads the envelope of a request.
///
/// # Errors
/// What is no envelope, holds a document type declaration or a processing instruction, or says a thing twice.
pub fn read(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let (mut roots, mut calls, mut called) = (0, 0, String::new());
    let mut values: [Option<Secret<String>>; LEAVES.len()] = Default::default();
    loop {
        let event = reader.read_event().map_err(|_| malformed())?;
        let open = leaf(&path);
        match event {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                opened(&path, &mut roots, &mut calls, &mut called)?;
                let again = leaf(&path)
                    .and_then(|i| values.get_mut(i)?.replace(Secret::new(String::new())));
                if again.is_some() || open.is_some() {
                    return Err(malformed());
                }
            }
            Event::Empty(_) if open.is_some() => return Err(malformed()),
            Event::Empty(start) => {
                path.push(start.local_name().as_ref().to_owned());
                opened(&path, &mut roots, &mut calls, &mut called)?;
                path.pop();
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Text(text) => put(&mut values, open, &text)?,
            Event::CData(text) => put(&mut values, open, &text)?,
            Event::GeneralRef(reference) => {
                let character = resolved(&reference).ok_or_else(malformed)?;
                put(&mut values, open, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Comment(_) | Event::Decl(_) => {}
            Event::PI(_) | Event::DocType(_) => return Err(malformed()),
            Event::Eof => break,
        }
    }
    if !path.is_empty() || roots != 1 || calls != 1 {
        return Err(malformed());
    }
    let [name, key, session] = values;
    if called != "login" {
        return Ok(Call::Other {
            session,
            name: called,
        });
    }
    Ok(Call::Login(Credentials {
        client: name.ok_or_else(malformed)?.expose_secret().clone(),
        key: key.ok_or_else(malformed)?,
    }))
}

/// Counts roots and calls; a root other than an envelope is none of ours.
fn opened(
    path: &[String],
    roots: &mut usize,
    calls: &mut usize,
    called: &mut String,
) -> Result<(), Refusal> {
    match path {
        [root] if root == "Envelope" => *roots += 1,
        [_] => return Err(malformed()),
        [_, body, call] if body == "Body" => {
            *calls += 1;
            called.clone_from(call);
        }
        _ if path.len() > DEPTH_MAX => return Err(malformed()),
        _ => {}
    }
    Ok(())
}

/// Adds text to the open value. Text where no value stands is space, or part of another call.
fn put(
    values: &mut [Option<Secret<String>>],
    open: Option<usize>,
    text: &str,
) -> Result<(), Refusal> {
    let Some(slot) = open.and_then(|i| values.get_mut(i)) else {
        return Ok(());
    };
    if text.chars().any(char::is_control) {
        return Err(malformed());
    }
    let mut value = slot
        .as_ref()
        .map_or_else(String::new, |v| v.expose_secret().clone());
    value.push_str(text);
    *slot = Some(Secret::new(value));
    Ok(())
}

pub(in super::super) fn resolved(reference: &BytesRef<'_>) -> Option<char> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok()?;
    }
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// The answer to a good login. `version`: as in the path.
pub fn login_response(who: &Who<'_>, began: &Began, wsdl: Wsdl, version: &str) -> String {
    let organisation = who.organisation();
    let user = who.user();
    let origin = escape(who.origin);
    let version = escape(version);
    let server = format!(
        "{origin}/services/Soap/{}/{version}/{organisation}",
        wsdl.letter()
    );
    let metadata = format!("{origin}/services/Soap/m/{version}/{organisation}");
    let session = escape(began.bearer.expose_secret().as_str());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns=\"urn:{}.soap.sforce.com\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <soapenv:Body><loginResponse><result>\
         <metadataServerUrl>{metadata}</metadataServerUrl>\
         <passwordExpired>false</passwordExpired>\
         <sandbox>false</sandbox>\
         <serverUrl>{server}</serverUrl>\
         <sessionId>{session}</sessionId>\
         <userId>{user}</userId>\
         <userInfo>{}</userInfo>\
         </result></loginResponse></soapenv:Body></soapenv:Envelope>",
        wsdl.word(),
        user_info(who, began.lifetime_s),
    )
}

/// The members of a `GetUserInfoResult`. `lifetime_s`: how long a session is good.
fn user_info(who: &Who<'_>, lifetime_s: i64) -> String {
    let (organisation, user) = (who.organisation(), who.user());
    let name = escape(who.name);
    format!(
        "<organizationId>{organisation}</organizationId>\
         <organizationName>{name}</organizationName>\
         <sessionSecondsValid>{lifetime_s}</sessionSecondsValid>\
         <userFullName>{name}</userFullName>\
         <userId>{user}</userId>\
         <userLanguage>en_US</userLanguage>\
         <userLocale>en_US</userLocale>\
         <userName>{name}</userName>\
         <userTimeZone>GMT</userTimeZone>\
         <userType>Standard</userType>"
    )
}

/// The answer to a call that privet answers by itself: `getUserInfo` and `getServerTimestamp`. `None`: another call.
/// `now`: the time as RFC 3339 spells it.
pub fn own_response(
    call: &str,
    who: &Who<'_>,
    wsdl: Wsdl,
    lifetime_s: i64,
    now: &str,
) -> Option<String> {
    let result = match call {
        "getUserInfo" => user_info(who, lifetime_s),
        "getServerTimestamp" => format!("<timestamp>{}</timestamp>", escape(now)),
        _ => return None,
    };
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns=\"urn:{}.soap.sforce.com\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <soapenv:Body><{call}Response><result>{result}</result></{call}Response></soapenv:Body></soapenv:Envelope>",
        wsdl.word()
    ))
}

/// `text` as it stands in an element.
pub fn escaped(text: &str) -> String {
    escape(text).into_owned()
}

/// The exception code of a fault; `None` where there is none that can be read.
pub fn fault_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text);
    let (mut inside, mut code) = (false, String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => inside = start.local_name().as_ref() == "exceptionCode",
            Event::Text(text) if inside => code.push_str(&text),
            Event::End(_) if inside => return Some(code),
            Event::DocType(_) | Event::Eof => return None,
            _ => {}
        }
    }
}

/// A fault (SOAP 1.1, section 4.4) as Salesforce spells it. `code`: an exception code.
pub fn fault(code: &str, message: &str) -> String {
    let (code, message) = (escape(code), escape(message));
    let kind = match &*code {
        "INVALID_FIELD" => "InvalidFieldFault",
        "INVALID_TYPE" => "InvalidSObjectFault",
        "MALFORMED_QUERY" => "MalformedQueryFault",
        "MALFORMED_SEARCH" => "MalformedSearchFault",
        "INVALID_QUERY_LOCATOR" => "InvalidQueryLocatorFault",
        "MALFORMED_ID" => "InvalidIdFault",
        code if code.starts_with("INVALID_LOGIN") || code.starts_with("LOGIN_") => "LoginFault",
        _ => "UnexpectedErrorFault",
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:sf=\"urn:fault.partner.soap.sforce.com\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode>\
         <faultstring>{code}: {message}</faultstring>\
         <detail><sf:{kind} xsi:type=\"sf:{kind}\"><sf:exceptionCode>{code}</sf:exceptionCode>\
         <sf:exceptionMessage>{message}</sf:exceptionMessage></sf:{kind}></detail>\
         </soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(head: &str, body: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\">\
             <e:Header>{head}</e:Header>\n<e:Body>{body}</e:Body></e:Envelope>"
        )
    }

    fn login(text: &str) -> Option<(String, String)> {
        match read(text.as_bytes()) {
            Ok(Call::Login(c)) => Some((c.client, c.key.expose_secret().clone())),
            _ => None,
        }
    }

    #[test]
    fn a_login_is_read_however_it_is_spelt() {
        let wanted = Some(("desk@a.b".to_owned(), "p&<1".to_owned()));
        for body in [
            "<login xmlns=\"urn:partner.soap.sforce.com\"><username>desk@a.b</username><password>p&amp;&lt;1</password></login>",
            "<n1:login xmlns:n1=\"urn:enterprise.soap.sforce.com\">\n<n1:username>desk&#64;a.b</n1:username>\n\
             <n1:password><![CDATA[p&<1]]></n1:password></n1:login>",
        ] {
            assert_eq!(
                login(&envelope(
                    "<x:CallOptions xmlns:x=\"u\"><x:client>c</x:client></x:CallOptions>",
                    body
                )),
                wanted
            );
        }
    }

    #[test]
    fn other_calls_have_the_session_of_their_header() {
        let text = envelope(
            "<SessionHeader><sessionId>pvs_x</sessionId></SessionHeader>",
            "<query><queryString>SELECT Id FROM Contact</queryString></query>",
        );
        let Ok(Call::Other { session, name }) = read(text.as_bytes()) else {
            panic!("not read");
        };
        assert_eq!(session.unwrap().expose_secret(), "pvs_x");
        assert_eq!(name, "query");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let good = "<login><username>a</username><password>b</password></login>";
        assert!(login(&envelope("", good)).is_some());
        for body in [
            "",
            "<login/>",
            "<login><username>a</username></login>",
            "<login><username>a</username><username>b</username><password>b</password></login>",
            "<login><username>a<b/></username><password>b</password></login>",
            "<login><username>a&foo;</username><password>b</password></login>",
            "<login><username>a</username><password>b</password></login><query/>",
            "<login><username>a</username><password>b</password>",
        ] {
            assert_eq!(login(&envelope("", body)), None, "{body}");
        }
        let whole = envelope("", good);
        for text in [
            whole.replace("<e:Envelope", "<!DOCTYPE x [<!ENTITY a \"b\">]><e:Envelope"),
            whole.replace("<e:Header>", "<?x y?><e:Header>"),
            format!("{whole}{}", &whole[39..]),
            whole.replace("Envelope", "Envelop"),
            "not xml".to_owned(),
            String::new(),
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{}{}", "<a>".repeat(60), "</a>".repeat(60));
        assert!(read(envelope("", &deep).as_bytes()).is_err());
    }

    #[test]
    fn faults_escape_what_they_say() {
        let text = fault("INVALID_LOGIN", "a<b");
        assert!(text.contains("<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>"));
        assert!(text.contains("a&lt;b") && !text.contains("a<b"));
    }
}
