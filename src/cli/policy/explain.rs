//! `privet policy explain`: why somebody gets what it gets.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::exit;
use crate::engine::catalog::FieldRef;
use crate::engine::identity::{Identity, Proof};
use crate::engine::plan;
use crate::engine::policy::{Loaded, decide};
use crate::engine::protocol::Action;
use crate::engine::token::KeyRing;
use crate::engine::workbench::request::Request;
use crate::engine::workbench::{explain, suite};
use crate::proxy::refuse;

/// Flags of `privet policy explain`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("question").required(true).args(["field", "soql"]))]
pub struct ExplainArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// The person or service that asks
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// The roles that its credential carries
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub roles: Vec<String>,
    /// The client application that it asks through
    #[arg(long, value_name = "CLIENT")]
    pub client: Option<String>,
    /// Why it asks; without it, the first purpose of the client
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<String>,
    /// Where it asks from
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// It used a second factor
    #[arg(long)]
    pub mfa: bool,
    /// How long ago it signed in, such as 5m
    #[arg(long, value_name = "AGE")]
    pub session: Option<String>,
    /// Its network address
    #[arg(long, value_name = "IP")]
    pub address: Option<IpAddr>,
    /// The time, such as 2026-11-23T10:00:00Z; without it, now
    #[arg(long, value_name = "TIME")]
    pub at: Option<jiff::Timestamp>,
    /// The field asked for
    #[arg(long, value_name = "OBJECT.FIELD")]
    pub field: Option<String>,
    /// What is done with the field
    #[arg(
        long,
        value_name = "ACTION",
        default_value = "read",
        requires = "field"
    )]
    pub action: String,
    /// The query asked
    #[arg(long, value_name = "QUERY")]
    pub soql: Option<String>,
}

/// Runs the verb: 0 answered, 2 the question names something unknown, 78 the set is invalid.
///
/// # Errors
/// Output cannot be written.
pub fn execute(
    args: &ExplainArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let set = match super::loaded(&args.policies, notes)? {
        Ok(set) => set,
        Err(code) => return Ok(code),
    };
    let asked = match question(args, &set) {
        Ok(asked) => asked,
        Err(why) => {
            writeln!(notes, "error: {why}")?;
            return Ok(exit::USAGE);
        }
    };
    match &asked.what {
        What::Field(field, action) => {
            let standpoint =
                set.policies
                    .standpoint(&set.catalog, &asked.caller, asked.purpose.clone());
            if asked.granted {
                let text = explain::field(&set, &standpoint, &asked.words, *field, *action);
                write!(out, "{text}")?;
            } else {
                writeln!(
                    out,
                    "{} is refused with 403: the purpose is not granted to the client.",
                    asked.words
                )?;
            }
        }
        What::Soql(query) => soql(&set, &asked, query, out)?,
    }
    Ok(exit::OK)
}

enum What {
    Field(FieldRef, Action),
    Soql(String),
}

struct Asked {
    caller: Identity,
    purpose: Arc<str>,
    granted: bool,
    words: String,
    what: What,
}

fn question(args: &ExplainArgs, set: &Loaded) -> Result<Asked, String> {
    let catalog = &set.catalog;
    let now_s = args.at.unwrap_or_else(jiff::Timestamp::now).as_second();
    let nearest = |what: &str, word: &str, known: Vec<&str>| {
        let near = crate::diagnostic::nearest(word, known)
            .map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
        format!("unknown {what} `{word}`{near}")
    };
    let auth_time_s = match &args.session {
        None => None,
        Some(age) => Some(
            now_s - suite::seconds(age).ok_or_else(|| format!("`{age}` is not an age like 5m"))?,
        ),
    };
    for role in &args.roles {
        let known: Vec<&str> = set.policies.roles().collect();
        if !known.contains(&role.as_str()) {
            return Err(nearest("role", role, known));
        }
    }
    if let Some(region) = &args.region {
        let known: Vec<&str> = catalog.vocabulary.regions.iter().map(|r| &**r).collect();
        if !known.contains(&region.as_str()) {
            return Err(nearest("region", region, known));
        }
    }
    let client = match &args.client {
        None => None,
        Some(name) => Some(
            catalog
                .vocabulary
                .clients
                .get(name.as_str())
                .ok_or_else(|| {
                    nearest(
                        "client",
                        name,
                        catalog.vocabulary.clients.keys().map(|c| &**c).collect(),
                    )
                })?,
        ),
    };
    if let Some(purpose) = &args.purpose {
        let mut known: Vec<&str> = catalog.vocabulary.purposes.iter().map(|p| &**p).collect();
        known.push("none");
        if !known.contains(&purpose.as_str()) {
            return Err(nearest("purpose", purpose, known));
        }
    }
    let purpose: Arc<str> = match (&args.purpose, client) {
        (Some(purpose), _) => purpose.as_str().into(),
        (None, Some(client)) => client.purposes.first().cloned().unwrap_or("none".into()),
        (None, None) => "none".into(),
    };
    let granted = client.is_none_or(|c| {
        args.purpose.is_none() || c.purposes.contains(&purpose) || &*purpose == "none"
    });
    let what = match (&args.field, &args.soql) {
        (Some(name), _) => {
            let action = Action::parse(&args.action).ok_or_else(|| {
                nearest(
                    "action",
                    &args.action,
                    Action::WORDS.iter().map(|(w, _)| *w).collect(),
                )
            })?;
            let (object, field) = name
                .split_once('.')
                .ok_or_else(|| format!("`{name}` is not a field: write it like Contact.Email"))?;
            let id = catalog
                .object_by_name
                .get(object.to_ascii_lowercase().as_str())
                .copied()
                .ok_or_else(|| {
                    nearest(
                        "object",
                        object,
                        catalog.objects.iter().map(|o| &*o.name).collect(),
                    )
                })?;
            let known = catalog.get(id);
            let field = known.field(field).ok_or_else(|| {
                nearest(
                    "field",
                    field,
                    known.fields.iter().map(|f| &*f.name).collect(),
                )
            })?;
            What::Field(FieldRef { object: id, field }, action)
        }
        (None, query) => What::Soql(query.clone().unwrap_or_default()),
    };
    let mut words = args.user.clone().unwrap_or_else(|| match args.roles.len() {
        0 => "somebody".to_owned(),
        _ => args.roles.join(" and "),
    });
    words.push_str(&format!(
        " for {purpose} from {}",
        args.region.as_deref().unwrap_or("an unknown region")
    ));
    Ok(Asked {
        caller: Identity {
            subject: args.user.as_deref().unwrap_or("somebody").into(),
            client: args.client.as_deref().map(Into::into),
            roles: args.roles.iter().map(|r| r.as_str().into()).collect(),
            region: args.region.as_deref().map(Into::into),
            tenant: "explain".into(),
            proof: Proof::ApiKey {
                key_id: "explain".into(),
            },
            mfa: args.mfa.then_some(true),
            auth_time_s,
            purpose_asked: args.purpose.as_deref().map(Into::into),
            now_s,
            address: args.address,
        },
        purpose,
        granted,
        words,
        what,
    })
}

/// The whole query as a request, then each use of it.
fn soql(set: &Loaded, asked: &Asked, query: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let keys = KeyRing::generate(&super::test::TEST_KEY);
    let told = |refusal: &crate::engine::refusal::Refusal| {
        let (status, code) = refuse::row(refusal.reason);
        let rule = refusal
            .rule
            .as_ref()
            .map_or_else(String::new, |r| format!(" (rule {r})"));
        format!(
            "is refused with {} {}: {}{rule}",
            status.as_u16(),
            refusal.code.unwrap_or(code),
            refusal.message
        )
    };
    let operation = match Request::soql(query).understood(&set.catalog, &asked.caller, &keys) {
        Ok(operation) => operation,
        Err(refusal) => return writeln!(out, "{} {}", asked.words, told(&refusal)),
    };
    let uses: Vec<(FieldRef, Action)> =
        operation.uses.iter().map(|u| (u.field, u.action)).collect();
    // Without a client the purpose counts as granted.
    let decision = if asked.caller.client.is_some() {
        decide(&set.policies, &set.catalog, &asked.caller, &operation)
    } else {
        let written = |object| operation.forward.written_object(object).cloned();
        set.policies
            .standpoint(&set.catalog, &asked.caller, asked.purpose.clone())
            .decide(
                &set.policies,
                &set.catalog,
                &crate::engine::policy::Asking {
                    action: operation.action,
                    uses: &operation.uses,
                    objects: &operation.objects,
                    exports: operation.exports,
                    written: &written,
                },
            )
    };
    match plan::plan(operation, &decision, &set.catalog, &keys, &asked.caller) {
        Ok(_) => writeln!(out, "{} may ask this.", asked.words)?,
        Err(refusal) => writeln!(out, "{} {}", asked.words, told(&refusal))?,
    }
    if !asked.granted {
        return Ok(());
    }
    let standpoint = set
        .policies
        .standpoint(&set.catalog, &asked.caller, asked.purpose.clone());
    for (field, action) in uses {
        let text = explain::field(set, &standpoint, &asked.words, field, action);
        write!(out, "\n{text}")?;
    }
    Ok(())
}
