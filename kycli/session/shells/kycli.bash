# kycli for bash
