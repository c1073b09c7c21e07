//! Denial of wallet: what a principal's and a tenant's agents have cost together, halved every day, so that a budget is
//! one of recent spending and nobody is locked out for ever.

use crate::limits::WALLETS_MAX;
use crate::shards::Shards;
use schema::{Millis, Principal, Tenant};

/// What principals and tenants have cost.
pub struct Wallets {
    principals: Shards<Wallet>,
    tenants: Shards<Wallet>,
}

#[derive(Default)]
struct Wallet {
    milliunits: f64,
    at: u64,
}

impl Default for Wallets {
    fn default() -> Self {
        Self { principals: Shards::new(WALLETS_MAX), tenants: Shards::new(WALLETS_MAX) }
    }
}

impl Wallets {
    /// What `principal` and `tenant` have spent at `now`, in thousandths of the operator's currency unit.
    pub fn spent(&self, tenant: &Tenant, principal: Option<&Principal>, now: Millis) -> (u64, u64) {
        let spent = |wallets: &Shards<Wallet>, key| wallets.read(key, |w| w.at(now) as u64).unwrap_or(0);
        let (principal, tenant) = self.keys(tenant, principal);
        (principal.map_or(0, |key| spent(&self.principals, key)), spent(&self.tenants, tenant))
    }

    /// Adds a call's cost, once it is known.
    pub fn spend(&self, tenant: &Tenant, principal: Option<&Principal>, units: f64, now: Millis) {
        // Costs are what a log says: one that is none changes nothing.
        let milliunits = if units.is_finite() && units > 0.0 { units * 1e3 } else { return };
        let add = |wallet: &mut Wallet| *wallet = Wallet { milliunits: wallet.at(now) + milliunits, at: now.0 };
        let (principal, tenant) = self.keys(tenant, principal);
        if let Some(key) = principal {
            self.principals.with(key, add);
        }
        self.tenants.with(tenant, add);
    }

    fn keys(&self, tenant: &Tenant, principal: Option<&Principal>) -> (Option<u64>, u64) {
        (principal.map(|who| self.principals.key(&(tenant, who))), self.tenants.key(tenant))
    }
}

impl Wallet {
    fn at(&self, now: Millis) -> f64 {
        self.milliunits * libm::exp2(-(now.0.saturating_sub(self.at) as f64) / HALF_LIFE_MS)
    }
}

const HALF_LIFE_MS: f64 = 86_400_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_one_user_spend_from_one_wallet_and_a_day_halves_it() {
        let wallets = Wallets::default();
        let acme = Tenant::new("acme").unwrap();
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| Principal::new(name).unwrap());
        let now = Millis(1_795_343_040_000);
        let spend = |who, units| wallets.spend(&acme, Some(who), units, now);
        spend(&ada, 2.0);
        spend(&ada, 1.0);
        spend(&bob, 5.0);
        spend(&bob, f64::NAN);
        let later = Millis(now.0 + 86_400_000);
        assert_eq!(wallets.spent(&acme, Some(&ada), now), (3_000, 8_000));
        assert_eq!(wallets.spent(&acme, Some(&ada), later), (1_500, 4_000));
        assert_eq!(wallets.spent(&acme, Some(&eve), now), (0, 8_000));
    }
}
