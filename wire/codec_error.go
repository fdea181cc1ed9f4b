package wire

// A codecError says why a batch payload was refused. Name is stable: golden
// vectors and other implementations use it.
type codecError struct{ Name, Msg string }

func (e *codecError) Error() string { return "wire: batch payload: " + e.Msg }

// What Decode returns for a payload that an encoder does not make.
var (
	ErrPayloadCoding     = &codecError{"coding", "unknown coding"}
	ErrPayloadParam      = &codecError{"param", "parameter without a meaning for this coding"}
	ErrPayloadTruncated  = &codecError{"truncated", "ends inside a pixel"}
	ErrPayloadOutOfRange = &codecError{"out_of_range", "pixel or count beyond the valid area"}
	ErrPayloadCanonical  = &codecError{"not_canonical", "not what the encoder writes for these pixels"}
)
