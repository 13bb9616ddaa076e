//! Reading JSON by path, `a.0.b`; what is not there is null.

use serde_json::Value;

pub trait At {
    fn at(&self, path: &str) -> &Value;
    /// Text, or nothing.
    fn text(&self, path: &str) -> &str;
    /// A whole number, written as one or as text; 0 where there is none.
    fn int(&self, path: &str) -> i64;
    fn list(&self, path: &str) -> &[Value];
}

impl At for Value {
    fn at(&self, path: &str) -> &Value {
        self.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Self::Null)
    }

    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    fn int(&self, path: &str) -> i64 {
        let value = self.at(path);
        value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
    }

    fn list(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }
}
