//! Keys that come all at once, as the characters of a paste do where the terminal does not say that it is one: they do
//! what keys do, and decide nothing.

use crossterm::event::{KeyEvent, KeyModifiers};

use super::message::Effect;

/// Why a key that decides something did not: pasted text must not.
pub(super) const HURRIED: &str = "left out, because keys came all at once, as in pasted text: press that key by itself";

/// Hands such a key over to `handle_key`. What a person decides is left to a key that comes by itself: the dialog and
/// the remark, which `parts` finds in the model, then say so. No paste has control characters in it.
pub(super) fn handle<M, D: Clone>(
    model: &mut M,
    key: KeyEvent,
    parts: impl for<'a> Fn(&'a mut M) -> (&'a mut Option<D>, &'a mut Option<String>),
    handle_key: impl FnOnce(&mut M, KeyEvent) -> Vec<Effect>,
) -> Vec<Effect> {
    let (dialog, remark) = parts(model);
    let (asked, told) = (dialog.clone(), remark.take());
    let effects = handle_key(model, key);
    let (dialog, remark) = parts(model);
    if remark.is_none() {
        // The keys that come with it do not take it away.
        *remark = told.filter(|it| it == HURRIED);
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) || !effects.iter().any(Effect::is_decision) {
        return effects;
    }
    *dialog = asked;
    *remark = Some(HURRIED.to_owned());
    Vec::new()
}
