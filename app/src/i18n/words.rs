//! Every text of the interface, in English and Chinese side by side; one file for each area that is large.

/// One line a word: a word without both languages does not match the pattern, so it does not compile. Each word is a
/// function, so that the browser's module carries only those that it shows.
macro_rules! words {
    ($($key:ident: $en:literal, $zh:literal;)*) => {
        impl super::Words {
            $(pub const fn $key(&self) -> &'static str {
                match self.0 {
                    crate::i18n::Locale::En => $en,
                    crate::i18n::Locale::Zh => $zh,
                }
            })*
        }

        #[cfg(test)]
        pub(in crate::i18n) const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $en, $zh),)*];
    };
}

mod audit;
mod chain;
mod earning;
mod fleet;
mod frame;
mod jobs;
mod market;
mod money;
mod reports;
mod templates;
mod verify;
mod wallet;
mod work;

/// The words of one language.
#[derive(Debug)]
pub struct Words(super::Locale);

impl Words {
    pub(super) const fn of(locale: super::Locale) -> Self {
        Self(locale)
    }

    /// The language that they are of.
    #[cfg(feature = "ssr")]
    pub const fn locale(&self) -> super::Locale {
        self.0
    }
}

/// All of them, for tests.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    frame::ALL
        .iter()
        .chain(market::ALL)
        .chain(jobs::ALL)
        .chain(earning::ALL)
        .chain(audit::ALL)
        .chain(money::ALL)
        .chain(reports::ALL)
        .chain(verify::ALL)
        .chain(wallet::ALL)
        .chain(work::ALL)
        .chain(chain::ALL)
        .chain(fleet::ALL)
        .chain(templates::ALL)
}

/// Sentences of the server that people meet in forms, with their Chinese; see `fault.rs`.
pub const SENTENCES: &[(&str, &str)] = &[
    ("Some fields need a change.", "有些字段需要修改。"),
    ("E-mail or password is not right.", "邮箱或密码不正确。"),
    (
        "This idempotency key was used before with another request; use a new key for a new request.",
        "此表单已提交过，请刷新页面后再试。",
    ),
    (
        "Something failed on our side. Please look whether it was done, then try again.",
        "我们这边出了问题。请先查看操作是否已完成，再重试。",
    ),
    (
        "an e-mail address like you@example.org",
        "邮箱地址，例如 you@example.org",
    ),
    (
        "8 to 200 characters; a few words you remember are good",
        "8 到 200 个字符；几个您记得住的词就很好",
    ),
    ("1 to 80 characters on one line", "单行，1 到 80 个字符"),
    ("Please sign in.", "请先登录。"),
    ("There is no such job.", "没有这个任务。"),
    ("The server could not be reached.", "无法连接服务器。"),
    (
        "The server's answer could not be read.",
        "无法读取服务器的回答。",
    ),
    ("give the job a name", "给任务起个名字"),
    ("at most 80 characters on one line", "单行，最多 80 个字符"),
    (
        "name the program to run, for example [\"python3\", \"train.py\"]",
        "请写出要运行的程序，例如 python3 train.py",
    ),
    ("a quote is not closed", "引号没有闭合"),
    ("one NAME=value a line", "每行一个 NAME=value"),
    (
        "a variable's name has letters, digits and _ only",
        "变量名只能包含字母、数字和 _",
    ),
    (
        "give the file a name, for example train.py",
        "给文件起个名字，例如 train.py",
    ),
    (
        "a relative path inside the working directory, at most 255 bytes",
        "工作目录内的相对路径，最多 255 字节",
    ),
    ("a whole number", "请填写整数"),
    ("a whole number from 1 to 512", "1 到 512 之间的整数"),
    (
        "a whole number from 16 to 4194304",
        "16 到 4194304 之间的整数",
    ),
    (
        "a whole number from 1 to 16777216",
        "1 到 16777216 之间的整数",
    ),
    ("a whole number from 1 to 32768", "1 到 32768 之间的整数"),
    (
        "a whole number from 1 to 2592000",
        "最长 30 天（43200 分钟）",
    ),
    ("a whole number from 0 to 100", "0 到 100 之间的整数"),
    (
        "letters, digits and _ - . / only, at most 40",
        "只能包含字母、数字和 _ - . /，最多 40 个",
    ),
    (
        "a country's two capital letters, such as CH",
        "国家的两个大写字母，例如 CH",
    ),
    (
        "a country's two letters, such as CH",
        "国家的两个字母，例如 CH",
    ),
    (
        "must be above zero, or leave it out for any price",
        "必须大于零；留空表示不限价格",
    ),
    (
        "the amount is not a number; write it like 12.5, with a point and at most 8 decimals",
        "金额不是数字，请写成 12.5 的形式，最多 8 位小数",
    ),
    (
        "the amount is in whole base units, as a text: 12.5 IO is \"1250000000\"",
        "金额以基本单位的整数文本表示：12.5 IO 为 \"1250000000\"",
    ),
    (
        "IO has 8 decimals; this amount has more, and nothing is rounded silently",
        "IO 有 8 位小数，此金额超出，我们不会擅自取整",
    ),
    ("an amount cannot be below zero", "金额不能小于零"),
    (
        "choose at least one thing that the key may do",
        "请至少选择一项权限",
    ),
];
