//! The examples that can be launched with one press: the files of `examples/`, compiled in, so that what the portal
//! offers is what the documentation shows.

use std::collections::BTreeMap;

#[cfg(feature = "ssr")]
use protocol::spec::{JobSpec, Limits, Placement, Resources};
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::launch_form::LaunchForm;

/// An example, as the form shows it.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// `digits`, `mandelbrot` or `hello`; the page has the words for each.
    pub id: String,
    pub form: LaunchForm,
}

/// What the launch page starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPage {
    /// The ids of all examples.
    pub templates: Vec<String>,
    /// A [`LaunchForm`] by the names of its fields: the browser only puts them into inputs.
    pub fields: BTreeMap<String, String>,
    /// The device that was chosen on the market is not there any more.
    pub device_gone: bool,
    pub quote: QuotePart,
}

/// A quote as the server writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotePart {
    pub html: String,
    /// Why the job cannot be started with this balance; empty when it can.
    pub off_because: String,
    /// The held quote; empty for visitors, and where there is no price.
    pub id: String,
    /// For so many seconds from now it holds.
    pub seconds: u32,
}

/// The id of the empty form.
pub const OWN: &str = "own";

#[cfg(feature = "ssr")]
impl LaunchPage {
    /// The form of the chosen example; of the first one when none is; empty for an own command.
    pub fn first_form(templates: &[Template], chosen: &str) -> LaunchForm {
        if chosen == OWN {
            return LaunchForm::of(&JobSpec {
                name: String::new(),
                image: None,
                command: Vec::new(),
                env: BTreeMap::new(),
                files: Vec::new(),
                bundle: None,
                resources: Resources::default(),
                limits: Limits::default(),
                placement: Placement::default(),
                metrics: Vec::new(),
                ports: Vec::new(),
                secrets: Vec::new(),
                recompute: None,
            });
        }
        let template = templates
            .iter()
            .find(|template| template.id == chosen)
            .or_else(|| templates.first());
        template
            .map(|template| template.form.clone())
            .unwrap_or_default()
    }
}

#[cfg(feature = "ssr")]
pub(crate) use server::all;

#[cfg(feature = "ssr")]
mod server {
    use std::sync::LazyLock;

    use protocol::spec::{InlineFile, from_toml};

    use super::Template;
    use crate::launch_form::LaunchForm;

    macro_rules! example {
        ($id:literal $(, $file:literal)*) => {
            ($id, include_str!(concat!("../../examples/", $id, "/job.toml")), &[
                $(($file, include_str!(concat!("../../examples/", $id, "/", $file)))),*
            ])
        };
    }

    type Example = (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
    );

    pub(super) const EXAMPLES: [Example; 3] = [
        example!("digits", "train.py"),
        example!("mandelbrot", "render.py"),
        example!("hello"),
    ];

    static ALL: LazyLock<Vec<Template>> = LazyLock::new(|| {
        let read = |(id, toml, files): &Example| {
            // An example that cannot be read is left out; the test below keeps that from happening.
            let mut spec = from_toml(toml).ok()?;
            spec.files = files
                .iter()
                .map(|(path, content)| InlineFile {
                    path: (*path).to_owned(),
                    content: (*content).to_owned(),
                })
                .collect();
            Some(Template {
                id: (*id).to_owned(),
                form: LaunchForm::of(&spec),
            })
        };
        EXAMPLES.iter().filter_map(read).collect()
    });

    pub fn all() -> &'static [Template] {
        &ALL
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::server::{EXAMPLES, all};
    use protocol::spec::from_toml;

    #[test]
    fn every_example_survives_the_form() {
        assert_eq!(all().len(), EXAMPLES.len());
        for (template, (id, toml, files)) in all().iter().zip(EXAMPLES) {
            let spec = template
                .form
                .spec()
                .unwrap_or_else(|problem| panic!("{id}: {:?}", problem.fields));
            let written = from_toml(toml).expect("valid");
            assert_eq!(
                (&spec.command, &spec.env, &spec.resources),
                (&written.command, &written.env, &written.resources)
            );
            assert_eq!(spec.files.len(), files.len());
        }
    }
}
