//! The sentences about money in Chinese; see the module above.

/// As [`super::market::PATTERNS`].
pub(super) const PATTERNS: &[(&str, &str)] = &[
    ("at least {} IO", "至少 {} IO"),
    (
        "at most {} IO, which is what is withdrawable",
        "最多 {} IO，即可提取的金额",
    ),
    (
        "more than nothing and at most {} IO, which is what is withdrawable",
        "必须大于零，最多 {} IO，即可提取的金额",
    ),
    (
        "more than nothing and at most {} IO, which was paid for it",
        "必须大于零，最多 {} IO，即为此支付的金额",
    ),
    (
        "more than nothing and at most {} IO",
        "必须大于零，最多 {} IO",
    ),
    ("more than nothing", "必须大于零"),
    (
        "at most {} IO, which is claimed",
        "最多 {} IO，即主张的金额",
    ),
    (
        "an Aptos address: 0x and up to 64 digits 0-9 a-f; not 0x0 to 0xf, which are the chain's own",
        "Aptos 地址：0x 加最多 64 位 0-9 a-f；0x0 至 0xf 为链自身所用，不可填写",
    ),
    (
        "say where it goes: no payout address is set yet",
        "请填写收款地址：尚未设置",
    ),
    (
        "Your payouts go to {}; to send them elsewhere, change the payout address first.",
        "您的提现付到 {}；如要付到别处，请先更改收款地址。",
    ),
    (
        "No change waits; the address that is shown is in force.",
        "没有等待生效的更改，当前显示的地址有效。",
    ),
    (
        "This wallet is the only way into the account; link another one, or add an e-mail address and a password first.",
        "此钱包是进入账户的唯一方式；请先关联另一个钱包，或添加邮箱和密码。",
    ),
    (
        "This account has an e-mail address and a password.",
        "此账户已有邮箱和密码。",
    ),
    (
        "This e-mail address has an account; sign in there and link the wallet.",
        "此邮箱已有账户；请登录该账户并关联钱包。",
    ),
    (
        "say why, in at most {} characters",
        "请说明理由，最多 {} 个字符",
    ),
    (
        "say what was found out, in at most {} characters",
        "请说明查明的情况，最多 {} 个字符",
    ),
    (
        "what the transaction is called outside, at most {} characters",
        "外部交易的名称，最多 {} 个字符",
    ),
    (
        "this one paid another payout; one transaction outside pays one payout here",
        "该交易已用于另一笔提现；一笔外部交易只支付一笔提现",
    ),
    (
        "a deposit with this reference is recorded already",
        "此参考号的充值已登记",
    ),
    ("no account has it", "没有使用该邮箱的账户"),
    ("1 to {} characters", "1 到 {} 个字符"),
    (
        "up to five, each from 60 seconds to 30 days (2592000)",
        "最多五个，每个从 60 秒到 30 天（2592000 秒）",
    ),
    (
        "{} payouts of yours are under way, as many as may be; wait until one is over",
        "您有 {} 笔提现正在处理，已达上限，请等待其中一笔完成",
    ),
    (
        "{} disputes of yours are open, as many as may be; wait until one is decided",
        "您有 {} 个争议正在处理，已达上限，请等待裁定",
    ),
    (
        "{} texts were added to it, as many as may be",
        "已补充 {} 条陈述，达到上限",
    ),
    (
        "a receipt can be contested for {} days after it was posted",
        "收据公布后 {} 天内可提出争议",
    ),
    (
        "a receipt can be contested for a day after it was posted",
        "收据公布后一天内可提出争议",
    ),
    (
        "a receipt can be contested for {} seconds after it was posted",
        "收据公布后 {} 秒内可提出争议",
    ),
    ("nothing was paid for this receipt", "此收据没有产生费用"),
    (
        "this receipt was contested before; each can be contested once",
        "此收据已提出过争议；每张收据只能提出一次",
    ),
    ("it is decided already", "已作出裁定"),
    (
        "what this machine earned waits for a check, and part of it would be its owner's again: decide once the check is over",
        "这台机器的收益正在等待核查，其中一部分会退还给所有者；请在核查结束后再处理",
    ),
    (
        "holds a control character other than line ends and tabs; take it out",
        "含有换行和制表符以外的控制字符，请删除",
    ),
    ("is still to come", "尚未到来"),
    ("it is decided or over already", "已处理或已过期"),
    (
        "a request of yours waits for an admin already",
        "您已有一个申请等待管理员审批",
    ),
    (
        "something is proposed for this payout already; confirm it or drop it first",
        "此提现已有待确认的提议，请先确认或放弃",
    ),
    ("a payout that is {} cannot {}", "提现状态为“{}”，无法{}"),
    ("a deposit that is {} cannot {}", "充值状态为“{}”，无法{}"),
    ("a dispute that is {} cannot {}", "争议状态为“{}”，无法{}"),
    (
        "the platform's books lack part of it: {} IO would have to come from the treasury, which has {} IO",
        "平台账簿资金不足：需由金库支付 {} IO，而金库仅有 {} IO",
    ),
    (
        "only another admin, who is no side of it, can do this",
        "只能由与此事无关的另一位管理员处理",
    ),
    ("only another admin can do this", "只能由另一位管理员处理"),
    ("only an admin can do this", "只有管理员可以这样做"),
    (
        "only a demo server has a faucet; on this one that can do this",
        "本服务器没有演示水龙头",
    ),
    (
        "this needs at least {} IO, and your own spending limits leave {} IO for it; raise them on the billing page",
        "此操作至少需要 {} IO，而您的预算仅剩 {} IO；请在账单页提高预算",
    ),
    ("requested", "待审核"),
    ("approved", "已批准"),
    ("frozen", "已冻结"),
    ("sent", "已发出"),
    ("paid", "已到账"),
    ("failed", "失败"),
    ("cancelled", "已撤回"),
    ("refused", "已拒绝"),
    ("open", "处理中"),
    ("refunded", "已退款"),
    ("rejected", "裁定归机主"),
    ("withdrawn", "已撤回"),
    ("credited", "已入账"),
    ("in_transit", "在途"),
    ("be approved", "批准"),
    ("be frozen", "冻结"),
    ("be thawed", "解冻"),
    ("be sent", "发出"),
    ("be confirmed", "确认"),
    ("fail", "标为失败"),
    ("be cancelled", "撤回"),
    ("be refused", "拒绝"),
    ("be credited", "入账"),
    ("be refunded", "退款"),
    ("be rejected", "驳回"),
    ("be withdrawn", "撤回"),
    (
        "an address such as https://example.com/iog",
        "形如 https://example.com/iog 的地址",
    ),
    (
        "it has to begin with https://, so that nobody on the way can read or change what is sent",
        "必须以 https:// 开头，以免途中被读取或篡改",
    ),
    (
        "an address that the whole world can reach, not one of a private network or of this machine",
        "必须是公网可达的地址，不能是内网或本机地址",
    ),
    (
        "without a name and a password; the signature shows that it comes from here",
        "不能包含用户名和密码；签名已能证明来源",
    ),
    ("at most 2048 characters", "最多 2048 个字符"),
    (
        "this webhook is switched off; switch it on first",
        "此 Webhook 已停用，请先启用",
    ),
    ("`{}` is no event", "`{}` 不是事件名"),
    ("times such as 24h 1h 10m", "时长，例如 24h 1h 10m"),
    (
        "{} of it is open; from here it is handed in from {} on",
        "其中待兑付 {}；从 {} 起才能在此提交兑付",
    ),
    ("its channel is closed", "其支付通道已关闭"),
    ("It is not there any more", "已不存在"),
];
