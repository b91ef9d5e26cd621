/**
 * Where this router keeps the contact of a REGISTER, it leads to where that came from, not along a Path that its sender wrote:
 * calls would go to any address, where they come from this router, as its own do. `save()` reads the header until its removal
 * is applied.
 */
export const dropPath = `
  if ($hdr(Path) != $null) {
    remove_hf("Path");
    msg_apply_changes();
  }`;
