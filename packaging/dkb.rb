# What Homebrew installs of a release, which fills this in.
class Dkb < Formula
  desc "Wraps docker build, and leaves nothing behind"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/dkb-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@aarch64-apple-darwin@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/dkb-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/dkb-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/dkb-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@x86_64-unknown-linux-musl@"
    end
  end

  def install
    bin.install "dkb"
    man1.install Dir["completions/*.1"]
    bash_completion.install "completions/dkb.bash" => "dkb"
    zsh_completion.install "completions/_dkb"
    fish_completion.install "completions/dkb.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/dkb --version")
  end
end
