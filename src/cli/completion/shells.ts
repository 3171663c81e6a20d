/**
 * What a shell is told about the completion of `vmpool`. Each hands the words that were typed to `vmpool words` as
 * they are, evaluates none of them, and falls back to files where that ends with 10.
 */

/** Exit code of `vmpool words`: here stands the name of a file. */
export const filesCode = 10;

const bash = `# bash completion of vmpool: source <(vmpool completion bash)
_vmpool() {
  local line typed=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do COMPREPLY+=("$line"); done < <(
    vmpool words -- "\${typed[@]}" 2>/dev/null
    [ $? -ne ${String(filesCode)} ] || compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"
  )
  [ "\${#COMPREPLY[@]}" -gt 0 ] && [ -e "\${COMPREPLY[0]}" ] && compopt -o filenames
}
complete -F _vmpool vmpool`;

const zsh = `#compdef vmpool
# zsh completion of vmpool: source <(vmpool completion zsh), or as _vmpool in a directory of $fpath
_vmpool() {
  local line code
  local -a found
  line=$(vmpool words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  code=$?
  if (( code == ${String(filesCode)} )); then _files; return; fi
  # The word, a colon, what it means; a colon of the word's own is quoted.
  for line in "\${(@f)line}"; do
    [[ -n $line ]] && found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe vmpool found
}
if [ "$funcstack[1]" = _vmpool ]; then _vmpool "$@"; else compdef _vmpool vmpool; fi`;

const fish = `# fish completion of vmpool: vmpool completion fish | source
function __vmpool_words
  set -l typed (commandline -opc) (commandline -ct)
  vmpool words -- $typed[2..-1] 2>/dev/null
  test $status -ne ${String(filesCode)}; or __fish_complete_path (commandline -ct)
end
complete -c vmpool -f -a '(__vmpool_words)'`;

export const shells = { bash, zsh, fish } as const;
export type Shell = keyof typeof shells;
