class Trit < Formula
  desc "Run ternary (BitNet b1.58) language models on the CPU"
  homepage "{{.Homepage}}"
  version "{{.Number}}"
  license "MIT"
{{range $os := list "darwin" "linux"}}
  on_{{if eq $os "darwin"}}macos{{else}}linux{{end}} do
{{- range $arch := list "arm64" "amd64"}}{{with $.Archive $os $arch}}
    on_{{if eq $arch "arm64"}}arm{{else}}intel{{end}} do
      url "{{.URL}}"
      sha256 "{{.Sum}}"
    end
{{- end}}{{end}}
  end
{{end}}
  def install
    bin.install "trit"
    man1.install Dir["man/man1/*.1"]
    bash_completion.install "completions/trit.bash" => "trit"
    zsh_completion.install "completions/_trit"
    fish_completion.install "completions/trit.fish"
  end

  service do
    run [opt_bin/"trit", "serve"]
    keep_alive true
    log_path var/"log/trit.log"
    error_log_path var/"log/trit.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/trit version")
    assert_match "Paris", shell_output("#{bin}/trit infer --model demo --chat --greedy --prompt 'What is the capital of France?'")
  end
end
