//! `#[derive(Config)]`: from one options struct of a component come its decoding, its field list and its manual.
//!
//! See `component::Config` for what it means. Attributes of a field: `name = "…"` (else the Rust name in camelCase),
//! `alias = "…"` (repeatable), `default = "…"`, `required`, `secret`, and `flatten` for a struct that derives `Config` too.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Expr, ExprLit, Fields, Lit, LitStr, Meta, parse_macro_input, spanned::Spanned};

#[derive(Default)]
struct Attributes {
    name: Option<String>,
    aliases: Vec<String>,
    default: String,
    required: bool,
    secret: bool,
    flatten: bool,
    doc: String,
}

/// Derives `component::Config` for a struct with named fields.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new(input.span(), "Config can be derived for a struct only"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new(input.span(), "Config needs named fields"));
    };
    let (mut listed, mut decoded) = (Vec::new(), Vec::new());
    for field in &fields.named {
        let ident = field.ident.as_ref().expect("fields are named");
        let ty = &field.ty;
        let a = attributes(field)?;
        if a.flatten {
            listed.push(quote! { fields.extend(<#ty as ::component::Config>::fields()); });
            decoded.push(quote! { #ident: <#ty as ::component::Config>::decode(properties)? });
            continue;
        }
        if a.doc.trim().is_empty() {
            return Err(syn::Error::new(
                field.span(),
                "a metadata field needs a doc comment: it is the component's manual",
            ));
        }
        let name = a.name.unwrap_or_else(|| camel_case(&ident.to_string()));
        let (aliases, default, required, secret, doc) = (a.aliases, a.default, a.required, a.secret, a.doc);
        let field = quote! {
            ::component::Field {
                name: #name, aliases: &[#(#aliases),*], kind: <#ty as ::component::config::Value>::KIND,
                required: #required, default: #default, secret: #secret, doc: #doc,
            }
        };
        listed.push(quote! { fields.push(#field); });
        decoded.push(quote! { #ident: ::component::config::take(properties, &#field)? });
    }
    let ident = &input.ident;
    Ok(quote! {
        impl ::component::Config for #ident {
            fn fields() -> ::std::vec::Vec<::component::Field> {
                let mut fields = ::std::vec::Vec::new();
                #(#listed)*
                fields
            }

            fn decode(properties: &::component::Properties) -> ::std::result::Result<Self, ::component::ConfigError> {
                Ok(Self { #(#decoded),* })
            }
        }
    })
}

fn attributes(field: &syn::Field) -> syn::Result<Attributes> {
    let mut found = Attributes::default();
    for attribute in &field.attrs {
        if attribute.path().is_ident("doc") {
            if let Meta::NameValue(pair) = &attribute.meta
                && let Expr::Lit(ExprLit {
                    lit: Lit::Str(text), ..
                }) = &pair.value
            {
                found.doc.push_str(text.value().trim());
                found.doc.push(' ');
            }
        } else if attribute.path().is_ident("config") {
            attribute.parse_nested_meta(|meta| {
                let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let text = || -> syn::Result<String> { Ok(meta.value()?.parse::<LitStr>()?.value()) };
                match key.as_str() {
                    "name" => found.name = Some(text()?),
                    "alias" => found.aliases.push(text()?),
                    "default" => found.default = text()?,
                    "required" => found.required = true,
                    "secret" => found.secret = true,
                    "flatten" => found.flatten = true,
                    _ => return Err(meta.error("known are name, alias, default, required, secret, flatten")),
                }
                Ok(())
            })?;
        }
    }
    found.doc = found.doc.trim().to_owned();
    Ok(found)
}

/// `redis_host` becomes `redisHost`.
fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.trim_start_matches("r#").chars() {
        if c == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}
