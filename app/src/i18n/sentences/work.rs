//! The sentences about work in a running job in Chinese; see the module above.

/// As [`super::market::PATTERNS`].
pub(super) const PATTERNS: &[(&str, &str)] = &[
    // Slices that were computed again.
    ("computes slice {} of {} again", "重算第 {} 片（任务 {}）"),
    ("it could not be computed again: {}", "无法重算：{}"),
    ("a result is missing or too large", "缺少结果，或结果过大"),
    (
        "two machines agree against one, but the program is the requester's own: {}",
        "两台机器一致、与另一台不符，但程序为租用方自带：{}",
    ),
    ("the third is between the two", "第三台的结果介于两者之间"),
    ("the files are not the same", "文件不相同"),
    ("the result cannot be read: {}", "结果无法读取：{}"),
    (
        "its colours are off by {} ‰, most of it in one place",
        "颜色相差 {}‰，大部分集中在一处",
    ),
    ("its colours are off by {} ‰", "颜色相差 {}‰"),
    (
        "{} × {} pixels beside {} × {}",
        "{} × {} 像素，另一张为 {} × {}",
    ),
    ("one has more in it than the other", "其中一个内容更多"),
    ("word {} differs", "第 {} 个词不同"),
    ("it is no text", "不是文本"),
    (
        "Give a day as 2026-11-01.",
        "请按 2026-11-01 的格式填写日期。",
    ),
    (
        "Opened on machine {} by {}. Command: {}.",
        "在机器 {} 上由 {} 打开，命令：{}。",
    ),
    ("Opened on machine {} by {}.", "在机器 {} 上由 {} 打开。"),
    ("Opened by {}. Command: {}.", "由 {} 打开，命令：{}。"),
    ("Opened by {}.", "由 {} 打开。"),
    (
        "Closed on machine {} by {} after {} s; {} bytes went in and {} came out.",
        "机器 {} 上由 {} 打开的 Shell 在 {} 秒后关闭；输入 {} 字节，输出 {} 字节。",
    ),
    (
        "Closed by {} after {} s; {} bytes went in and {} came out.",
        "由 {} 打开的 Shell 在 {} 秒后关闭；输入 {} 字节，输出 {} 字节。",
    ),
    (
        "{}, {} bytes on machine {}, by {}.",
        "{}，{} 字节，机器 {}，由 {} 上传。",
    ),
    ("{}, {} bytes, by {}.", "{}，{} 字节，由 {} 上传。"),
    ("{} with key {}", "{}（密钥 {}）"),
    (
        "you have no secret {}; set it on the account page first",
        "您没有名为 {} 的密钥变量；请先在账户页设置",
    ),
    (
        "an account keeps {} secrets; delete one first",
        "一个账户最多保存 {} 个密钥变量；请先删除一个",
    ),
    (
        "{} to {} bytes and no zero byte",
        "{} 到 {} 字节，且不含零字节",
    ),
    (
        "letters, digits and _ only, not a digit first, not IOG_ nor LD_ first, at most 128",
        "只能包含字母、数字和 _，不能以数字、IOG_ 或 LD_ 开头，最多 128 个字符",
    ),
    (
        "numbers from 1024 to 65535, each with `public` behind it or not",
        "1024 到 65535 之间的数字，后面可加 public",
    ),
    (
        "a whole number from 1024 to 65535",
        "1024 到 65535 之间的整数",
    ),
    ("this port is there twice", "此端口重复"),
    ("this secret is there twice", "此密钥变量重复"),
    (
        "a variable of the same name stands in env",
        "环境变量中已有同名变量",
    ),
    ("{} to {} characters to look for", "请输入 {} 到 {} 个字符"),
];
