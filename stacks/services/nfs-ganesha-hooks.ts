/**
 * What is run on the host of NFS-Ganesha. `$file` is our file, `$main` Ganesha's own configuration.
 *
 * The reload goes by D-Bus, export by export, and never by SIGHUP: at SIGHUP Ganesha 4.3 reads everything again and
 * *drops every export that it cannot read*; a slip anywhere in the site's files would end every mount.
 */

/** Which exports are loaded, which are in a file of ours, and which we ever had: no other is updated or removed. */
const words = String.raw`
ask() {
  dbus-send --system --print-reply --reply-timeout=20000 --dest=org.ganesha.nfsd \
    /org/ganesha/nfsd/ExportMgr "org.ganesha.nfsd.exportmgr.$@"
}
ids() { sed -n 's/^  Export_Id = \([0-9]*\);$/\1/p' "$@" 2>/dev/null; }
shown=$(ask ShowExports 2>/dev/null) || { echo 'Ganesha does not answer on D-Bus: is it running?'; exit 1; }
loaded() { printf '%s\n' "$shown" | grep -qE "^ *uint16 $1\$"; }
noted=$VMPOOL_STATE/exports
`;

/**
 * Ganesha has no checker. This starts a second one on the new file alone, in namespaces of its own: no network, no
 * D-Bus, no rpcbind, and a recovery directory of its own, so that the running one does not notice. It reads the file,
 * opens the exports (a directory that is missing shows) and is ended. 0.3 s.
 */
export const ganeshaCheck = String.raw`
[ "$VMPOOL_MODE" = apply ] || exit 0
${words}
if ! grep -qE '^[[:space:]]*%include[[:space:]]+"?'"$file"'"?[[:space:]]*$' "$main"; then
  echo "$main does not include our file: add the line %include \"$file\" to it, once"
  exit 1
fi
for id in $(ids "$VMPOOL_STAGE$file"); do
  loaded "$id" || continue
  { ids "$file"; cat "$noted" 2>/dev/null; } | grep -qx "$id" && continue
  echo "export $id is another's on this server: give ours another id"
  exit 1
done
mkdir -p "$VMPOOL_WORK/recovery"
cat >"$VMPOOL_WORK/check.conf" <<END
NFS_CORE_PARAM { Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; }
NFSv4 { Graceless = true; RecoveryRoot = "$VMPOOL_WORK/recovery"; }
%include "$VMPOOL_STAGE$file"
END
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent unshare -n -m -p -f --kill-child sh -c '
  mount -t tmpfs none /run 2>/dev/null && ip link set lo up || { echo "cannot isolate a second Ganesha"; exit 1; }
  ganesha.nfsd -F -L "$1/check.log" -f "$1/check.conf" -p "$1/check.pid" &
  while kill -0 $! 2>/dev/null; do
    grep -q "NFS SERVER INITIALIZED" "$1/check.log" 2>/dev/null && exit 0
    sleep 0.1
  done
  exit 1' check "$VMPOOL_WORK" && started=1 || started=0
said=$(grep -E 'config_errs_to_log|ganesha_yyerror|_commit :[A-Z]+ :CRIT' "$VMPOOL_WORK/check.log" 2>/dev/null)
if [ "$started" = 1 ] && [ -z "$said" ]; then
  # Ours from here on, whatever becomes of this run.
  { ids "$VMPOOL_STAGE$file" "$file"; cat "$noted" 2>/dev/null; } | sort -un >"$VMPOOL_WORK/exports" &&
    mv -f "$VMPOOL_WORK/exports" "$noted" && exit 0
  echo "$noted cannot be written"
  exit 1
fi
printf '%s\n' "$said" | sed -e 's/^.*\] //' -e "s#$VMPOOL_STAGE##g"
[ -n "$said" ] || echo 'a second Ganesha could not be started on the new file to check it'
exit 1
`;

export const ganeshaReload = String.raw`
${words}
failed=0
wanted=$(ids "$file")
for id in $wanted; do
  if loaded "$id"; then how=UpdateExport; else how=AddExport; fi
  ask $how "string:$file" "string:EXPORT(Export_Id=$id)" >"$VMPOOL_WORK/answer" 2>&1 && continue
  echo "export $id: $(head -n 3 "$VMPOOL_WORK/answer" | tr '\n' ' ')"
  failed=1
done
# Of ours, and in the file no more.
for id in $(cat "$noted" 2>/dev/null); do
  printf '%s\n' "$wanted" | grep -qx "$id" && continue
  loaded "$id" || continue
  ask RemoveExport "uint16:$id" >"$VMPOOL_WORK/answer" 2>&1 && { shown=$(ask ShowExports); continue; }
  echo "export $id cannot be removed: $(head -n 3 "$VMPOOL_WORK/answer" | tr '\n' ' ')"
  failed=1
done
exit $failed
`;
