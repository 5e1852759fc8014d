//! `init` and `uninstall`: the defaults in `~/.dapr`. Nothing is downloaded, no container is started.

use super::{
    defaults::{Default, PROGRAMS, files},
    not_available,
};
use crate::{args, messages::Messages, paths::Home};
use anyhow::{Context, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Writes the defaults. What a user has changed stays; what is there already stays, too.
pub(crate) fn init(args: &args::Init, home: &Home, messages: &Messages) -> Result<()> {
    if args.kubernetes || args.dev {
        return Err(not_available("init --kubernetes"));
    }
    for flag in without_effect(args) {
        messages.warn(format!(
            "{flag} has no effect: nothing is downloaded, and no container is started"
        ));
    }
    let executable = std::env::current_exe().context("this executable cannot be found")?;
    let executable = executable.canonicalize().unwrap_or(executable);
    make_folder(&home.bin())?;
    for name in PROGRAMS {
        link(&executable, &home.bin().join(name), messages)?;
    }
    if !args.slim {
        make_folder(&home.components())?;
        make_folder(&home.data())?;
        for file in files(home) {
            write(&file, messages)?;
        }
    }
    messages.success("Success! Dapr is up and running.");
    Ok(())
}

/// Removes what `init` wrote; with `--all`, also the data and what was changed.
pub(crate) fn uninstall(args: &args::Uninstall, home: &Home, messages: &Messages) -> Result<()> {
    if args.kubernetes || args.dev {
        return Err(not_available("uninstall --kubernetes"));
    }
    for (flag, given) in [
        ("--network", args.network.is_some()),
        ("--container-runtime", args.container_runtime.is_some()),
    ] {
        if given {
            messages.warn(format!("{flag} has no effect: there are no containers"));
        }
    }
    if !home.folder().is_dir() {
        messages.info(format!(
            "There is nothing to remove: {} is not there",
            home.folder().display()
        ));
        return Ok(());
    }
    for name in PROGRAMS {
        let link = home.bin().join(name);
        match is_ours(&link) {
            true => remove(&link, messages)?,
            false if link.symlink_metadata().is_ok() => kept(&link, "it is not a link to Outrigger", messages),
            false => {}
        }
    }
    for file in files(home) {
        match fs::read_to_string(&file.path) {
            Ok(content) if content == file.content || args.all => remove(&file.path, messages)?,
            Ok(_) => kept(&file.path, "it was changed (--all removes it)", messages),
            Err(_) => {}
        }
    }
    if args.all && home.data().is_dir() {
        fs::remove_dir_all(home.data()).with_context(|| format!("{} cannot be removed", home.data().display()))?;
        messages.info(format!("Removed {}", home.data().display()));
    }
    remove_empty(home, messages);
    messages.success("Dapr has been removed successfully");
    Ok(())
}

/// The folders of `init`, as far as nothing is left in them.
fn remove_empty(home: &Home, messages: &Messages) {
    for folder in [home.bin(), home.components(), home.data(), home.folder().to_owned()] {
        // a folder with something in it cannot be removed, and that is what is wanted
        let _ = fs::remove_dir(&folder);
    }
    if home.folder().is_dir() {
        messages.info(format!(
            "{} is kept: there are files in it that `dapr init` did not write",
            home.folder().display()
        ));
    }
}

fn without_effect(args: &args::Init) -> Vec<&'static str> {
    let version = args
        .runtime_version
        .as_deref()
        .is_some_and(|version| version != "latest");
    let given = [
        ("--runtime-version", version),
        ("--dashboard-version", args.dashboard_version.is_some()),
        ("--wait", args.wait),
        ("--timeout", args.timeout.is_some()),
        ("--namespace", args.namespace.is_some()),
        ("--enable-mtls", args.enable_mtls.is_some()),
        ("--enable-ha", args.enable_ha),
        ("--network", args.network.is_some()),
        ("--from-dir", args.from_dir.is_some()),
        ("--image-variant", args.image_variant.is_some()),
        ("--image-registry", args.image_registry.is_some()),
        ("--scheduler-volume", args.scheduler_volume.is_some()),
        (
            "--scheduler-override-broadcast-host-port",
            args.scheduler_override_broadcast_host_port.is_some(),
        ),
        ("--redis-stack", args.redis_stack),
        ("--set", !args.set.is_empty()),
        ("--container-runtime", args.container_runtime.is_some()),
        ("--ca-root-certificate", args.ca_root_certificate.is_some()),
        ("--issuer-private-key", args.issuer_private_key.is_some()),
        ("--issuer-public-certificate", args.issuer_public_certificate.is_some()),
    ];
    given
        .iter()
        .filter(|(_, given)| *given)
        .map(|(flag, _)| *flag)
        .collect()
}

fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))
}

fn write(file: &Default, messages: &Messages) -> Result<()> {
    match fs::read_to_string(&file.path) {
        Ok(content) if content == file.content => messages.info(format!("{} is there already", file.path.display())),
        Ok(_) => kept(&file.path, "it was changed", messages),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::write(&file.path, &file.content)
                .with_context(|| format!("{} cannot be written", file.path.display()))?;
            messages.info(format!("Wrote {}", file.path.display()));
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.path.display())),
    }
    Ok(())
}

/// Links the executable; copies it where there are no links. What is not ours is left alone.
fn link(executable: &Path, link: &Path, messages: &Messages) -> Result<()> {
    if link.symlink_metadata().is_ok() {
        if link.canonicalize().is_ok_and(|target| target == executable) {
            messages.info(format!("{} is there already", link.display()));
            return Ok(());
        }
        if !is_ours(link) {
            kept(
                link,
                "it is not a link to Outrigger; `dapr run` does not use it",
                messages,
            );
            return Ok(());
        }
        fs::remove_file(link).with_context(|| format!("{} cannot be replaced", link.display()))?;
    }
    let linked = std::os::unix::fs::symlink(executable, link).or_else(|_| fs::copy(executable, link).map(drop));
    linked.with_context(|| format!("{} cannot be linked to {}", link.display(), executable.display()))?;
    messages.info(format!("Linked {} to {}", link.display(), executable.display()));
    Ok(())
}

/// Whether something in `bin` was made by `init`: a link to an executable of ours, even to one that is gone, or a copy.
fn is_ours(path: &Path) -> bool {
    let own: Option<PathBuf> = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    match fs::read_link(path) {
        Ok(target) => {
            let known = target
                .file_name()
                .is_some_and(|name| name == "outrigger" || name == "dapr");
            known || own.is_some_and(|own| path.canonicalize().is_ok_and(|target| target == own))
        }
        Err(_) => own.is_some_and(|own| same_content(&own, path)),
    }
}

fn same_content(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    let equal = length(one).is_some() && length(one) == length(other);
    equal && matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

fn remove(path: &Path, messages: &Messages) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    messages.info(format!("Removed {}", path.display()));
    Ok(())
}

fn kept(path: &Path, why: &str, messages: &Messages) {
    messages.warn(format!("{} is kept: {why}", path.display()));
}
