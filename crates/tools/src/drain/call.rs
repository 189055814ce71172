//! One call of a backlog, as a line of NDJSON or a row of CSV has it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::through::{is_method, is_variable};

/// What is to be called, with which arguments, as whom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct BacklogCall {
    /// Where in the file it stands. Blank lines count, too.
    #[serde(skip)]
    pub(super) line: u64,
    /// What the file calls it; its line if the file does not.
    pub(super) id: Value,
    /// Whether the file has given it that id.
    #[serde(skip)]
    pub(super) named: bool,
    pub(super) method: String,
    pub(super) args: Map<String, Value>,
    /// The variable with its token, where it is another than the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_env: Option<String>,
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    id: Option<Value>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    args: Map<String, Value>,
    token_env: Option<String>,
    /// Why it failed before: what is drained may be the failed calls of another drain.
    #[serde(rename = "error")]
    _error: Option<IgnoredAny>,
}

/// The longest id.
const ID: usize = 256;

// === impl BacklogCall ===

impl BacklogCall {
    /// Reads a line of NDJSON. `method` is that of lines that name none.
    ///
    /// # Errors
    /// What is wrong with it, without what it says: it could be a token.
    pub(super) fn read(line: u64, text: &[u8], method: Option<&str>) -> Result<Self, String> {
        let read: Line<'_> =
            serde_json::from_slice(text).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => {
                    format!(
                        "{}; a line is {{\"method\": …, \"args\": {{…}}}}",
                        misfit(text, &error)
                    )
                }
                _ => format!("is no JSON object of one line (column {})", error.column()),
            })?;
        let Some(method) = read.method.as_deref().or(method) else {
            return Err("names no method; add \"method\", or say --method for all".to_owned());
        };
        let named = read.id.is_some();
        let id = read.id.unwrap_or_else(|| line.into());
        match &id {
            Value::Number(_) => {}
            Value::String(text) if text.len() <= ID => {}
            _ => return Err(format!("its id is no number and no text of up to {ID} bytes")),
        }
        let call = Self::new(line, id, method, read.args, read.token_env)?;
        Ok(Self { named, ..call })
    }

    /// A call, if it can be one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(
        line: u64,
        id: Value,
        method: &str,
        args: Map<String, Value>,
        token_env: Option<String>,
    ) -> Result<Self, String> {
        if !is_method(method) {
            return Err("its method is no name of one, as in conversations.close".to_owned());
        }
        if args.contains_key("token") {
            return Err(
                "has a token among its args; name the variable that has it in token_env".to_owned()
            );
        }
        if token_env.as_deref().is_some_and(|name| !is_variable(name)) {
            return Err("its token_env is no name of a variable, as in SLACK_BOT_TOKEN".to_owned());
        }
        Ok(Self { line, id, named: false, method: method.to_owned(), args, token_env })
    }

    /// The arguments as a form, which every method of Slack's takes: what is nested is JSON there.
    pub(super) fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.args {
            match value {
                Value::Null => {}
                Value::String(text) => {
                    form.append_pair(name, text);
                }
                other => {
                    form.append_pair(name, &other.to_string());
                }
            }
        }
        form.finish()
    }

    /// Whether it may overtake that call: not if both are for one channel.
    pub(super) fn may_pass(&self, before: &Self) -> bool {
        match (self.channel(), before.channel()) {
            (Some(own), Some(its)) => own != its,
            _ => true,
        }
    }

    fn channel(&self) -> Option<&Value> {
        self.args.get("channel").or_else(|| self.args.get("channel_id"))
    }
}

/// What of a line of JSON does not fit, in words of the file.
fn misfit(text: &[u8], error: &serde_json::Error) -> String {
    let Ok(Value::Object(object)) = serde_json::from_slice(text) else {
        return "is no JSON object".to_owned();
    };
    let wrong = |key: &str, fits: fn(&Value) -> bool| object.get(key).is_some_and(|it| !fits(it));
    if wrong("args", Value::is_object) {
        return "its args are no object, as in {\"channel\": \"C1\"}".to_owned();
    }
    for key in ["method", "token_env"] {
        if wrong(key, |it| it.is_string() || it.is_null()) {
            return format!("its {key} is no text");
        }
    }
    // A key that is unknown, or there twice.
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<BacklogCall, String> {
        BacklogCall::read(7, text.as_bytes(), None)
    }

    #[test]
    fn a_line_is_a_call_and_without_an_id_its_number_is() {
        let call = read(r#"{"method":"a.b","args":{"channel":"C1","n":1,"x":[true],"no":null}}"#);
        let call = call.unwrap();
        assert_eq!((call.line, &call.id), (7, &json!(7)));
        assert_eq!(call.form(), "channel=C1&n=1&x=%5Btrue%5D");
        let named = read(r#"{"id":"x","method":"a.b","token_env":"T","error":"why"}"#).unwrap();
        assert_eq!((named.id, named.token_env), (json!("x"), Some("T".to_owned())));
        assert_eq!(BacklogCall::read(1, b"{}", Some("c.d")).unwrap().method, "c.d");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_token() {
        for (text, part) in [
            ("{", "no JSON object"),
            ("[]", "is no JSON object; a line is"),
            ("[1]", "is no JSON object; a line is"),
            ("1", "is no JSON object; a line is"),
            (r#"{"method":"a.b","args":[]}"#, "its args are no object"),
            (r#"{"method":"a.b","args":null}"#, "its args are no object"),
            (r#"{"method":"a.b","args":"xoxb-secret"}"#, "its args are no object"),
            (r#"{"method":["a.b"]}"#, "its method is no text"),
            (r#"{"method":"a.b","token_env":1}"#, "its token_env is no text"),
            (r#"{"method":"a.b","method":"a.b"}"#, "duplicate field `method`"),
            ("{}", "names no method"),
            (r#"{"method":"a b"}"#, "no name of one"),
            (r#"{"method":"../a"}"#, "no name of one"),
            (r#"{"method":"a.b","arg":{}}"#, "unknown field `arg`"),
            (r#"{"method":"a.b","id":[]}"#, "its id is no number"),
            (r#"{"method":"a.b","args":{"token":"xoxb-secret"}}"#, "among its args"),
            (r#"{"method":"a.b","token_env":"xoxb-secret"}"#, "no name of a variable"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
            for inner in ["struct", "expected a map", "sequence", "invalid"] {
                assert!(!error.contains(inner), "{text}: {error}");
            }
        }
    }

    #[test]
    fn calls_for_one_channel_keep_their_order() {
        let call = |args: Value| read(&json!({"method": "a.b", "args": args}).to_string()).unwrap();
        let (a, b) = (call(json!({"channel": "C1"})), call(json!({"channel": "C2"})));
        assert!(!a.may_pass(&a) && a.may_pass(&b) && a.may_pass(&call(json!({}))));
    }
}
