//! Schema-bound credentials: how they are named, what a Secret of one holds, which generations are wanted.
//!
//! Pure: randomness comes in as bytes, time as an argument.
//!
//! ```
//! use dbop_credentials::names;
//! use dbop_model::{ClaimId, Engine, MigrationName, ObjectRef};
//!
//! let shop = ObjectRef::new("shop", "shop").unwrap();
//! let v2: MigrationName = "v2".parse().unwrap();
//! let claim = ClaimId::new("9f31c0de").unwrap();
//! assert_eq!(names::login(Engine::PostgreSql, &shop, &v2, &claim).as_str(), "shop_v2_9f31c0de");
//! assert_eq!(names::secret(&shop, &v2).as_str(), "shop-v2");
//! ```

pub mod binding;
pub mod generations;
pub mod names;
pub mod parts;
pub mod password;
pub mod said;
pub mod template;

pub use binding::Binding;
pub use generations::Generation;
