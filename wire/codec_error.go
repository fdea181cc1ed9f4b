package wire

// What Decode returns for a payload that an encoder does not make. Allocated
// once, because a decoder that allocates per refusal serves an attacker.
var (
	errCoding  = &Error{Code: OutOfRange, Msg: "batch coding"}
	errParam   = &Error{Code: OutOfRange, Msg: "batch coding parameter"}
	errPixel   = &Error{Code: OutOfRange, Msg: "batch pixel beyond the valid area"}
	errCount   = &Error{Code: OutOfRange, Msg: "batch pixel count"}
	errWidth   = &Error{Code: OutOfRange, Msg: "batch colour width"}
	errShort   = &Error{Code: Truncated, Msg: "batch pixel"}
	errPadding = &Error{Code: BadPadding, Msg: "batch payload"}
)
