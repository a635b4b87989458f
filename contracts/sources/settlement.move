/// The vault: people's deposits come in with the tag of their account, and what is owed goes out in batches.
/// Amounts are base units, 1 IO = 10^8 of them.
///
/// Requirements
/// R1.  A deposit moves exactly its amount into the vault and says who paid and for which account (16 bytes).
/// R2.  Only a settler pays out, and only while nothing is paused.
/// R3.  A batch is applied once: the same 32 bytes a second time abort, whatever the lines are.
/// R4.  A batch has 1 to 256 lines.
/// R5.  A line that cannot be paid is skipped with an event that says why; the other lines are paid.
/// R6.  What leaves the vault is what the events of the batch say was paid, line by line and in sum.
/// R7.  Nobody owns the vault: only `pay` takes out of it.
/// R8.  On one day (UTC) no more leaves the vault than the administrator's limit, so that a stolen settler's key cannot empty it.
///      At the start there is no limit.
///
/// Why a line was skipped: 1 its amount is zero; 2 the vault does not hold enough for it; 3 the payee's store is frozen;
/// 4 the payee is the zero address or the vault itself; 5 the day's limit does not leave enough.
module iog::settlement {
    use std::signer;
    use std::vector;
    use aptos_std::table::{Self, Table};
    use aptos_framework::account::{Self, SignerCapability};
    use aptos_framework::event;
    use aptos_framework::fungible_asset;
    use aptos_framework::primary_fungible_store;
    use aptos_framework::timestamp;
    use iog::roles;
    use iog::token;

    /// The caller is not a settler.
    const E_NOT_SETTLER: u64 = 1;
    /// Settlement and deposits are stopped.
    const E_PAUSED: u64 = 2;
    /// The tag is not 16 bytes long.
    const E_BAD_TAG: u64 = 3;
    /// A deposit of nothing.
    const E_ZERO: u64 = 4;
    /// The batch's name is not 32 bytes long.
    const E_BAD_BATCH: u64 = 5;
    /// There are not as many amounts as payees.
    const E_UNEVEN: u64 = 6;
    /// The batch has no line, or more than 256.
    const E_LINES: u64 = 7;
    /// The batch was applied before.
    const E_BATCH_KNOWN: u64 = 8;
    /// The caller is not the administrator.
    const E_NOT_ADMIN: u64 = 9;

    const TAG_BYTES: u64 = 16;
    const BATCH_BYTES: u64 = 32;
    const LINES_MAX: u64 = 256;
    const DAY_S: u64 = 86_400;
    const NO_LIMIT: u64 = 18_446_744_073_709_551_615;
    const VAULT_SEED: vector<u8> = b"IOG_VAULT";

    /// Not skipped.
    const PAYABLE: u64 = 0;
    const SKIP_ZERO: u64 = 1;
    const SKIP_VAULT: u64 = 2;
    const SKIP_FROZEN: u64 = 3;
    const SKIP_PAYEE: u64 = 4;
    const SKIP_LIMIT: u64 = 5;

    struct Vault has key {
        account: SignerCapability,
        /// What each batch did, kept for ever: this is what makes a batch apply once.
        batches: Table<vector<u8>, Outcome>,
        /// Base units that may leave on one day.
        limit: u64,
        /// The day of the last batch, counted from 1970-01-01, and the base units that left on it.
        day: u64,
        spent: u64
    }

    struct Outcome has copy, drop, store { paid: u64, skipped: u64, total: u64 }

    #[event]
    /// `amount` base units came into the vault for the account `tag`.
    struct Deposited has drop, store { from: address, tag: vector<u8>, amount: u64 }

    #[event]
    /// Line `line` (from 0) of a batch was paid.
    struct Paid has drop, store { batch: vector<u8>, line: u64, payee: address, amount: u64 }

    #[event]
    /// Line `line` (from 0) of a batch was not paid; `reason` as in this module's head.
    struct Skipped has drop, store { batch: vector<u8>, line: u64, payee: address, amount: u64, reason: u64 }

    #[event]
    /// A batch was applied: lines paid, lines skipped, base units paid.
    struct Settled has drop, store { batch: vector<u8>, paid: u64, skipped: u64, total: u64 }

    #[event]
    /// The administrator set how many base units may leave on one day.
    struct LimitChanged has drop, store { from: u64, to: u64 }

    fun init_module(publisher: &signer) {
        token::ensure(publisher);
        let (_, account) = account::create_resource_account(publisher, VAULT_SEED);
        // So that a batch can be applied to a vault into which nothing ever came.
        primary_fungible_store::ensure_primary_store_exists(
            account::get_signer_capability_address(&account), token::metadata()
        );
        move_to(publisher, Vault { account, batches: table::new(), limit: NO_LIMIT, day: 0, spent: 0 });
    }

    // ---- Views -----------------------------------------------------------------------------------------------------------

    #[view]
    /// The vault's account. IO sent to it without `deposit` is in the vault, but nobody is credited.
    public fun vault_address(): address acquires Vault {
        account::get_signer_capability_address(&borrow_global<Vault>(@iog).account)
    }

    #[view]
    /// Base units in the vault.
    public fun vault_balance(): u64 acquires Vault {
        primary_fungible_store::balance(vault_address(), token::metadata())
    }

    #[view]
    /// Whether a batch was applied.
    public fun settled(batch: vector<u8>): bool acquires Vault {
        table::contains(&borrow_global<Vault>(@iog).batches, batch)
    }

    #[view]
    /// What a batch did: lines paid, lines skipped, base units paid; all 0 when it was not applied.
    public fun outcome(batch: vector<u8>): (u64, u64, u64) acquires Vault {
        let nothing = Outcome { paid: 0, skipped: 0, total: 0 };
        let outcome = *table::borrow_with_default(&borrow_global<Vault>(@iog).batches, batch, &nothing);
        (outcome.paid, outcome.skipped, outcome.total)
    }

    #[view]
    /// Base units that may leave on one day, and those that still may today.
    public fun daily_limit(): (u64, u64) acquires Vault {
        let state = borrow_global<Vault>(@iog);
        let spent = if (state.day == today()) state.spent else 0;
        (state.limit, if (spent < state.limit) state.limit - spent else 0)
    }

    // ---- In and out ------------------------------------------------------------------------------------------------------

    /// Moves `amount` base units into the vault for the account `tag` (16 bytes).
    /// Aborts with E_PAUSED, E_BAD_TAG, E_ZERO, and as the framework does when `from` holds less.
    public entry fun deposit(from: &signer, tag: vector<u8>, amount: u64) acquires Vault {
        assert!(!roles::paused(), E_PAUSED);
        assert!(vector::length(&tag) == TAG_BYTES, E_BAD_TAG);
        assert!(amount > 0, E_ZERO);
        let asset = primary_fungible_store::withdraw(from, token::metadata(), amount);
        primary_fungible_store::deposit(vault_address(), asset);
        event::emit(Deposited { from: signer::address_of(from), tag, amount });
    }

    /// Pays `amounts[i]` base units to `payees[i]` for each line i. `batch` (32 bytes) names the batch for ever.
    /// Aborts with E_NOT_SETTLER, E_PAUSED, E_BAD_BATCH, E_UNEVEN, E_LINES, E_BATCH_KNOWN; never because of a single line.
    public entry fun pay(
        settler: &signer, batch: vector<u8>, payees: vector<address>, amounts: vector<u64>
    ) acquires Vault {
        assert!(roles::is_settler(signer::address_of(settler)), E_NOT_SETTLER);
        assert!(!roles::paused(), E_PAUSED);
        assert!(vector::length(&batch) == BATCH_BYTES, E_BAD_BATCH);
        let lines = vector::length(&payees);
        assert!(vector::length(&amounts) == lines, E_UNEVEN);
        assert!(lines > 0 && lines <= LINES_MAX, E_LINES);
        assert!(!settled(batch), E_BATCH_KNOWN);

        // First all decisions, so that one withdrawal serves the whole batch; then the payments.
        let metadata = token::metadata();
        let vault = vault_address();
        let left = vault_balance();
        let (_, room) = daily_limit();
        let total = 0;
        let reasons = vector[];
        for (line in 0..lines) {
            let (payee, amount) = (payees[line], amounts[line]);
            let reason =
                if (amount == 0) SKIP_ZERO
                else if (payee == @0x0 || payee == vault) SKIP_PAYEE
                else if (primary_fungible_store::is_frozen(payee, metadata)) SKIP_FROZEN
                else if (amount > left) SKIP_VAULT
                else if (amount > room) SKIP_LIMIT
                else PAYABLE;
            if (reason == PAYABLE) {
                left = left - amount;
                room = room - amount;
                total = total + amount;
            };
            vector::push_back(&mut reasons, reason);
        };

        let state = borrow_global_mut<Vault>(@iog);
        if (state.day != today()) {
            state.day = today();
            state.spent = 0;
        };
        state.spent = state.spent + total;
        let account = account::create_signer_with_capability(&state.account);
        let purse = primary_fungible_store::withdraw(&account, metadata, total);
        let paid = 0;
        for (line in 0..lines) {
            let (payee, amount, reason) = (payees[line], amounts[line], reasons[line]);
            if (reason == PAYABLE) {
                primary_fungible_store::deposit(payee, fungible_asset::extract(&mut purse, amount));
                event::emit(Paid { batch, line, payee, amount });
                paid = paid + 1;
            } else {
                event::emit(Skipped { batch, line, payee, amount, reason });
            };
        };
        // Aborts if a single base unit is left, so that nothing can vanish between the two loops.
        fungible_asset::destroy_zero(purse);
        let skipped = lines - paid;
        table::add(&mut state.batches, batch, Outcome { paid, skipped, total });
        event::emit(Settled { batch, paid, skipped, total });
    }

    /// Sets how many base units may leave the vault on one day (UTC); it holds from now on, for what has left today too.
    /// Aborts with E_NOT_ADMIN.
    public entry fun set_daily_limit(admin: &signer, limit: u64) acquires Vault {
        assert!(signer::address_of(admin) == roles::admin(), E_NOT_ADMIN);
        let state = borrow_global_mut<Vault>(@iog);
        let from = state.limit;
        state.limit = limit;
        event::emit(LimitChanged { from, to: limit });
    }

    fun today(): u64 { timestamp::now_seconds() / DAY_S }

    #[test_only]
    public fun init_for_test(publisher: &signer) { init_module(publisher) }
}
