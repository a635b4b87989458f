//! Wallets. Only the server writes these.

words! {
    // Signing in and linking
    wallet_or: "Or with a wallet", "或使用钱包";
    wallet_text: "An Aptos wallet in this browser signs a message; that moves no money and costs nothing. A new wallet gets an account of its own.", "由此浏览器中的 Aptos 钱包签署一条消息，不会转移资金，也不收费。新钱包会得到自己的账户。";
    wallet_continue: "Continue with {}", "使用 {} 继续";
    wallet_none: "No Aptos wallet was found in this browser. Install Petra, OKX Wallet or another one; on a phone, open this page in the wallet's own browser.", "此浏览器中没有找到 Aptos 钱包。请安装 Petra、欧易钱包或其他钱包；在手机上，请用钱包自带的浏览器打开此页。";
    wallet_looking: "Looking for wallets", "正在查找钱包";
    wallet_busy: "Waiting for the wallet. Look for its window.", "正在等待钱包，请查看钱包窗口。";
    wallet_rejected: "The wallet was closed or said no. Nothing was done.", "钱包被关闭或拒绝，未做任何操作。";
    wallet_failed: "The wallet could not do it:", "钱包未能完成：";
    wallet_refused: "It was not accepted:", "未被接受：";
    wallet_unsupported: "This wallet can neither sign in nor sign a message in the way that the Aptos wallet standard says.", "此钱包不支持 Aptos 钱包标准所规定的登录或消息签名。";
    wallet_offline: "The server could not be reached.", "无法连接服务器。";
    wallet_noscript: "Wallets need JavaScript.", "使用钱包需要 JavaScript。";
    wallets_title: "Wallets", "钱包";
    wallets_text: "Each of these signs in to this account.", "以下每个钱包都可登录此账户。";
    wallets_no_wallet: "No wallet is linked.", "尚未关联钱包。";
    wallet_link_with: "Link {}", "关联 {}";
    wallet_linked_done: "The wallet is linked.", "钱包已关联。";
    wallet_unlink: "Unlink", "取消关联";
    wallet_unlinked_done: "The wallet is not linked any more.", "钱包已取消关联。";
    wallet_used: "Last used", "最近使用";
    wallet_address: "Address", "地址";
    wallet_is_login: "Signed in by wallet; no e-mail address", "通过钱包登录，没有邮箱";
    wallet_add_password_title: "Add an e-mail address and a password", "添加邮箱和密码";
    wallet_add_password_text: "Your wallet is the only way into this account. With an e-mail address you get in without it, and can be told what happens.", "目前钱包是进入此账户的唯一方式。添加邮箱后无需钱包也能登录，并可收到通知。";
    wallet_add_password: "Add", "添加";
    wallet_add_password_done: "Added. You can sign in with it from now on.", "已添加，从现在起可用它登录。";

    // Where payouts go
    payout_to_title: "Payout address", "收款地址";
    payout_to_text: "Your payouts go here. A change takes effect after {}, and you are told at once, so that nobody who got into your account can send your earnings elsewhere unseen.", "您的提现付到此处。更改在 {} 后生效，并会立即通知您，以免他人进入您的账户后悄悄转走收益。";
    payout_to_now: "Now", "当前";
    payout_to_none: "None yet. The first one counts at once.", "尚未设置。首个地址立即生效。";
    payout_to_next: "From {} on", "自 {} 起";
    payout_to_set: "Set", "设置";
    payout_to_change: "Change", "更改";
    payout_to_asked: "Noted. It takes effect as shown.", "已记录，将按所示时间生效。";
    payout_to_keep: "Keep the present one", "保留当前地址";
    payout_to_kept: "Payouts go on to the present address.", "提现将继续付到当前地址。";

    // Depositing
    deposit_wallet_title: "Deposit from a wallet", "从钱包充值";
    deposit_wallet_text: "You sign in your wallet, the platform pays the network's fee. The money is here when the chain has it, usually within seconds.", "在钱包中签名即可，网络费由平台支付。链上确认后到账，通常只需几秒。";
    deposit_wallet_with: "Deposit with {}", "用 {} 充值";
    deposit_wallet_sent: "Sent. It shows in your balance as soon as the chain has it:", "已发送，链上确认后即计入余额：";

    // Escrow channels
    channels_title: "Escrow channels", "支付通道";
    channels_text: "Money that stays on the chain, in a channel that only your wallet can close. Your jobs are paid from it with vouchers, which owners can redeem without this platform; the rest comes back to your wallet a day after you ask for the close.", "资金留在链上，只有您的钱包能关闭此通道。任务以凭证从中支付，机主无需本平台即可兑付；申请关闭一天后，余额退回您的钱包。";
    channel_wallet: "Wallet", "钱包";
    channel_locked: "Put in", "存入";
    channel_promised: "Promised by vouchers", "凭证已承诺";
    channel_redeemed: "Redeemed", "已兑付";
    channel_free: "Goes back at the close", "关闭时退回";
    channel_returned: "Paid back", "已退回";
    channel_until: "Owners can redeem until", "机主可兑付至";
    channel_open_title: "Open a channel", "开通通道";
    channel_open_with: "Open with {}", "用 {} 开通";
    channel_add: "Add to it", "追加资金";
    channel_add_with: "Add with {}", "用 {} 追加";
    channel_close: "Close it", "关闭通道";
    channel_close_text: "No job is paid from it any more at once. After a day you take the rest.", "立即不再从中支付任务；一天后您可取回余额。";
    channel_close_with: "Ask for the close with {}", "用 {} 申请关闭";
    channel_finish: "Take the rest", "取回余额";
    channel_finish_with: "Take the rest with {}", "用 {} 取回余额";
    channel_proposed: "Not opened yet", "尚未开通";
    channel_is_open: "Open", "已开通";
    channel_closing: "Closing", "关闭中";
    channel_closed: "Closed", "已关闭";
    channel_idle: "Not used", "未使用";
    channel_sent: "Sent. It shows here as soon as the chain has it:", "已发送，链上确认后即在此显示：";

    // Vouchers
    vouchers_title: "Vouchers", "凭证";
    vouchers_text: "What requesters pay from their own channels on the chain. Redeem here, or keep the file: with it and any node of the chain it can be redeemed without this platform (iog voucher redeem).", "租用者用自己的链上通道支付的款项。可在此兑付，或保存文件：凭此文件和任一链上节点，无需本平台即可兑付（iog voucher redeem）。";
    voucher_says: "Worth so far", "累计价值";
    voucher_left: "To be redeemed", "待兑付";
    voucher_file: "File", "文件";
    voucher_redeem: "Redeem now", "立即兑付";
    voucher_asked: "On its way", "兑付中";
    voucher_asked_done: "It is handed in; the money goes to your payout address.", "已提交，款项将付到您的收款地址。";
    voucher_by: "Redeem before {}", "请在 {} 前兑付";
    notice_channel_opened: "Your escrow channel {} is open with {}. Your jobs are paid from it first.", "您的支付通道 {} 已开通，金额 {}，任务将优先从中支付。";
    notice_channel_topped_up: "Your escrow channel {} got {} more.", "您的支付通道 {} 增加了 {}。";
    notice_channel_idle: "The escrow channel {} with {} was opened beside another one, or with another key. No job is paid from it; close it to get the money back.", "支付通道 {}（{}）在另一个通道之外开通，或使用了别的密钥。不会从中支付任务；关闭它即可取回资金。";
    notice_channel_closing: "Your escrow channel {} is being closed. Owners can redeem until {}; then finish the close. If this was not you, somebody else can sign with your wallet.", "您的支付通道 {} 正在关闭。机主可在 {} 前兑付，之后请完成关闭。如果不是您本人操作，说明有他人能用您的钱包签名。";
    notice_channel_closed: "Your escrow channel {} is closed. {} went back to your wallet.", "您的支付通道 {} 已关闭，{} 已退回您的钱包。";
    notice_voucher_closing: "The escrow channel {} is being closed and owes you {}. Your voucher is handed in before {}; you can redeem it yourself, too.", "支付通道 {} 正在关闭，尚欠您 {}。平台会在 {} 前提交您的凭证，您也可以自行兑付。";
    notice_voucher_closed: "The escrow channel {} was closed before {} of your voucher was redeemed. Those who run the platform were told.", "支付通道 {} 在您的凭证兑付 {} 之前已关闭。平台运营方已收到通知。";
    deposit_wallet_amount: "say how much", "请填写金额";
}
