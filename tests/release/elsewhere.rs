//! What Homebrew and Nix go by, as far as their languages are here to read it.

use std::fs;
use std::process::Command;

use super::made::{TARGETS, make};
use super::{manifest, root, said, version};

/// As much of Homebrew as says which address and which checksum hold where.
const HOMEBREW: &str = r#"
class Formula
  @at = []
  def self.inherited(formula) = formula.instance_variable_set(:@at, [])
  def self.test = nil
  def self.method_missing(name, *args)
    if block_given?
      @at << name
      yield
      @at.pop
    elsif %i[url sha256].include?(name)
      puts [*@at, name, *args].join(" ")
    end
  end
end
load ARGV.fetch(0)
"#;

pub(super) fn homebrew_takes_each_archive_with_its_checksum() {
    let out = tempfile::tempdir().expect("a folder");
    make(out.path(), "https://github.com/acme/dkb");
    let told = said(Command::new("ruby").args(["-w", "-e", HOMEBREW]).arg(out.path().join("dkb.rb")));
    let told: Vec<_> = told.lines().collect();
    let sums = fs::read_to_string(out.path().join("SHA256SUMS")).expect("the sums");
    let version = version();
    for target in TARGETS {
        let system = if target.contains("darwin") { "on_macos" } else { "on_linux" };
        let machine = if target.starts_with("aarch64") { "on_arm" } else { "on_intel" };
        let archive = format!("dkb-{version}-{target}.tar.gz");
        let sum = sums.lines().find_map(|line| line.strip_suffix(&format!("  {archive}"))).expect("its sum");
        let url = format!("https://github.com/acme/dkb/releases/download/v{version}/{archive}");
        for line in [format!("{system} {machine} url {url}"), format!("{system} {machine} sha256 {sum}")] {
            assert!(told.contains(&&*line), "{line}\nis not in {told:#?}");
        }
    }
    assert_eq!(told.len(), 2 * TARGETS.len());
}

/// As much of nixpkgs as the flake asks for. What it would hand to the builder is shown.
const NIXPKGS: &str = r#"
let
  genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
  lib = { inherit genAttrs; licenses = { mit = "MIT"; asl20 = "Apache-2.0"; }; };
  pkgs = { inherit lib; rustPlatform.buildRustPackage = told: told; installShellFiles = "installShellFiles"; };
  systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
  flake = (import FLAKE).outputs { self = "this"; nixpkgs = { inherit lib; legacyPackages = genAttrs systems (_: pkgs); }; };
  shown = told: with told; [ pname version src meta.description meta.license (baseNameOf cargoLock.lockFile) ];
in map (system: shown flake.packages.${system}.default) systems
"#;

pub(super) fn nix_reads_the_flake_as_cargo_has_it() {
    let flake = root().join("flake.nix");
    let expression = NIXPKGS.replace("FLAKE", &flake.to_string_lossy());
    // Nothing is built, so nothing is to be kept.
    let told = ["--store", "dummy://", "--eval", "--strict", "--json", "--expr"];
    let told = said(Command::new("nix-instantiate").args(told).arg(expression));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let description = manifest()["package"]["description"].as_str().expect("a description").to_owned();
    let one = serde_json::json!(["dkb", version(), "this", description, ["MIT", "Apache-2.0"], "Cargo.lock"]);
    assert_eq!(told, serde_json::json!([one, one, one, one]));
}
