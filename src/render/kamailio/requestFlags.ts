/** Flags of a request (setflag, isflagset of the core), each in one place: they are numbers, and a number can be taken once. */

/** the media proxy has been offered its media */
export const MEDIA_OFFERED = 1;
/** another replica has handed it over */
export const HANDED_OVER = 2;
/** neither a backend nor a trusted source has sent it, and it has a Record-Route */
export const ROUTE_RECORDED = 3;
/** its media is relayed by the replica that spoke with the caller */
export const MEDIA_ELSEWHERE = 4;
/** it goes to a destination that the router has credentials for */
export const TO_TRUNK = 5;
