// Package python holds no Go but the test of the small Python client beside it:
// its copy of the tables is the specification's, its unit tests pass, and it
// stays in step with the real edge while it paints and is cut off.
package python
