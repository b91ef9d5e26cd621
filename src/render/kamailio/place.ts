/**
 * Where this router keeps the contact of a REGISTER, it leads to where that came from, not where its sender says that it did: not
 * along a Path of his, and not to a parameter `received` of his Contact, which `save()` takes for what this router found. Calls
 * would go to any address, where they come from this router, as its own do. `save()` reads what is not yet applied.
 */
export const ownPlace = `
  if ($hdr(Path) != $null) {
    remove_hf("Path");
    msg_apply_changes();
  }
  # no expression looks behind a NUL
  if ($hdr(Contact) != $null && !($(hdr(Contact)[*]{s.encode.hexa}) =~ "^(0[1-9a-f]|[1-9a-f][0-9a-f])+$")) {
    sl_send_reply("400", "Bad Contact");
    exit;
  }
  if (subst_hf("Contact", "/(;[[:space:]]*)received/\\1x-received/ig", "a")) msg_apply_changes();`;
