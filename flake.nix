# `nix build` compiles dkb of this checkout, with its manual pages and completions; `nix run` runs it.
{
  description = "docker build that leaves nothing behind";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      # Name, version and words stand in one place.
      cargo = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).package;
    in
    {
      packages = each (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = cargo.name;
          inherit (cargo) version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          # They bring engines of their own, and need root: `cargo test`.
          doCheck = false;
          nativeBuildInputs = [ pkgs.installShellFiles ];
          postInstall = ''
            installManPage completions/*.1
            installShellCompletion completions/dkb.{bash,fish} completions/_dkb
          '';
          meta = {
            inherit (cargo) description;
            license = with pkgs.lib.licenses; [ mit asl20 ];
            mainProgram = "dkb";
            platforms = systems;
          };
        };
      });
    };
}
